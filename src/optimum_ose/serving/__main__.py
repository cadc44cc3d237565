"""`python -m optimum_ose.serving DIR`: the server where neither optimum nor transformers is installed."""

import logging
import sys
from argparse import ArgumentParser
from functools import partial

from optimum_ose.exceptions import OSEError
from optimum_ose.serving.command import add_options, serve
from optimum_ose.wording import let_output_escape

_USER_ERROR = 2
_INTERRUPTED = 130


def main() -> int:
    """Serve a folder; the exit code is 2 for a user's mistake, else 128 + the signal."""
    parser = ArgumentParser("python -m optimum_ose.serving", description=__doc__)
    add_options(parser)
    let_output_escape()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return serve(parser.parse_args(), announce=partial(print, flush=True))
    except (OSEError, OSError) as error:
        print(f"optimum-ose: {error}", file=sys.stderr)
        return _USER_ERROR
    except KeyboardInterrupt:  # before it serves
        print("optimum-ose: interrupted", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
