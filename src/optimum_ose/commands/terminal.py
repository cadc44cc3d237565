"""What the libraries beneath say on a terminal."""

import logging


def quiet_libraries() -> None:
    """Turn off the bars and load reports of the libraries beneath: the stages have bars of their own."""
    import datasets
    import transformers
    from huggingface_hub.utils import logging as hub_logging

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    hub_logging.set_verbosity(logging.ERROR)  # not each retry of a request: the message holds the last error
