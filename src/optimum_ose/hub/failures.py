"""What the Hub's client raises, and what it means."""

from typing import cast

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from optimum_ose.exceptions import UploadError

FAILURES: tuple[type[Exception], ...] = (OSError, RuntimeError, cast(type[Exception], HfHubHTTPError.__bases__[0]))
"""For a large file RuntimeError, for a refusal OSError and, for what never reached the Hub, errors of the HTTP client,
which differs among versions."""
NO_HUB: tuple[type[Exception], ...] = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""Where an answer is not one of the Hub's: a page to log in, a redirection, another server."""


def not_the_hub(error: Exception) -> UploadError:
    """The error for an answer that the client could not read."""
    return UploadError(
        f"The server at {constants.ENDPOINT} must answer as the Hub does",
        f"its answer could not be read ({type(error).__name__})",
        "Check HF_ENDPOINT, and whether a proxy or a page to log in answers instead; then push again",
    )
