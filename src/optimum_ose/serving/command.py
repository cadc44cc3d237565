"""The serving command: its options, and what it does; shared by `ose serve` and `python -m optimum_ose.serving`."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from optimum_ose.exceptions import MissingDependencyError
from optimum_ose.serving.exposure import Exposure, read_api_key
from optimum_ose.serving.protocol import ServerLimits
from optimum_ose.wording import can_name_a_file, one_line, shown

_ENGINE = {"httptools", "prometheus_client", "starlette", "uvicorn"}
_KEY_VARIABLE = "OSE_API_KEY"
_SIGNAL_OFFSET = 128


def add_options(parser: ArgumentParser) -> None:
    """Give a parser the options of the server."""
    parser.usage = "%(prog)s folder [options]"  # the list of all would hide the message of an error
    parser.add_argument("folder", type=_path, help="exported folder")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument(
        "--model-name", help="name of the model in the Open Inference Protocol and OpenAI's API; default: the folder's"
    )
    parser.add_argument("--file-name", help="ONNX file relative to the folder; default: the recommended one")
    parser.add_argument("--workers", type=int, default=1, help="batches computed at once")
    parser.add_argument("--num-threads", type=int, help="threads of one batch; default: ONNX Runtime's choice")
    exposure = parser.add_argument_group("exposure", "who may reach the server; see docs/serving.md")
    exposure.add_argument(
        "--api-key-file", type=_path, help="file with the key that clients must send; default: the variable OSE_API_KEY"
    )
    exposure.add_argument("--allowed-host", action="append", default=[], help="name that is answered; default: all")
    exposure.add_argument(
        "--cors-origin", action="append", default=[], help="origin whose web pages may ask; default: none"
    )
    exposure.add_argument("--tls-certificate", type=_path, help="PEM file with the certificate; default: HTTP")
    exposure.add_argument("--tls-key", type=_path, help="PEM file with its private key; default: in the same file")
    limits = parser.add_argument_group("limits", "what the server accepts; see docs/serving.md")
    for field in fields(ServerLimits):
        option = f"--{field.name.replace('_', '-')}"
        limits.add_argument(option, type=type(field.default), default=field.default, help="default: %(default)s")


def _path(word: str) -> Path:
    """A path that is not blank: an empty one would name the current folder."""
    if not can_name_a_file(word):
        raise ArgumentTypeError(f"must be a path in UTF-8; got {shown(word)}")
    return Path(word)


def serve(arguments: Namespace, *, announce: Callable[[str], None]) -> int:
    """Serve until a signal. Main thread only.

    Args:
        arguments: of the options above.
        announce: told the address, once requests are taken.

    Returns:
        The exit code of the process: 128 + the signal.

    Raises:
        MissingDependencyError: if the extra `serving` is not installed.
        OSEError: if the folder cannot be loaded, an option is out of range, or the address cannot be listened on.
    """
    try:
        from optimum_ose.serving.server import create_server, serve_until_signal
    except ModuleNotFoundError as error:
        if error.name not in _ENGINE:
            raise
        raise MissingDependencyError(
            "The server needs the packages of the extra serving",
            f"there is no {error.name}",
            "Install them with `pip install 'optimum-ose[serving]'`",
        ) from error
    # The tokenizer's own threads would cost short texts more than they save, and take the event loop's core.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    server = create_server(
        arguments.folder,
        host=arguments.host,
        port=arguments.port,
        name=arguments.model_name,
        file_name=arguments.file_name,
        num_threads=arguments.num_threads,
        num_workers=arguments.workers,
        exposure=Exposure(
            api_key=read_api_key(arguments.api_key_file, os.environ.get(_KEY_VARIABLE)),
            allowed_hosts=tuple(arguments.allowed_host),
            cors_origins=tuple(arguments.cors_origin),
            tls_certificate=arguments.tls_certificate,
            tls_key=arguments.tls_key,
        ),
        limits=ServerLimits(**{field.name: getattr(arguments, field.name) for field in fields(ServerLimits)}),
    )
    announce(f"serving {one_line(arguments.folder)} at {server.url}/predict")
    return _SIGNAL_OFFSET + serve_until_signal(server)
