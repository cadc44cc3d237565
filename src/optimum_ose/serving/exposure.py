"""Who may reach a server and how: its key, its names, pages of other origins, and its certificate."""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import final

from optimum_ose.exceptions import InvalidConfigError
from optimum_ose.wording import one_line, shown

_KEY = re.compile(r"[\x21-\x7e]{16,1024}")
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_ORIGIN = re.compile(r"\*|https?://[^\s/?#@A-Z]+")
"""As browsers write it, in lower case: another form would never match."""
_MAX_KEY_FILE_BYTES = 4096


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Who may reach a server. By default: everyone who reaches its address, but no web page of another origin."""

    api_key: str | None = field(default=None, repr=False)
    """What clients must send as `Authorization: Bearer KEY`, except to ask for health and readiness. None: nothing."""
    allowed_hosts: tuple[str, ...] = ()
    """Names in the Host header that are answered, such as `example.com` and `*.example.com`. Empty: all."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose web pages may ask, such as `https://example.com`; `*`: all. Empty: none."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and those that vouch for it. None: HTTP."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key. None: it is in the certificate's file."""

    def __post_init__(self) -> None:
        if self.api_key is not None and not (isinstance(self.api_key, str) and _KEY.fullmatch(self.api_key)):
            raise InvalidConfigError(
                "An API key must have 16 to 1,024 visible ASCII characters, without spaces",
                f"it has {len(self.api_key)} characters" if isinstance(self.api_key, str) else "it is no text",
                "Make one with `openssl rand -hex 32`",
            )
        _check_each(
            "allowed_hosts",
            self.allowed_hosts,
            _is_host,
            "host names or addresses without a port, such as example.com or *.example.com",
        )
        _check_each(
            "cors_origins",
            self.cors_origins,
            _ORIGIN.fullmatch,
            "origins such as https://example.com, in lower case and without a path",
        )
        if self.tls_key is not None and self.tls_certificate is None:
            raise InvalidConfigError(
                "A private key for TLS must come with its certificate",
                "there is no certificate",
                "Name both files (--tls-certificate, --tls-key)",
            )

    def check_certificate(self) -> None:
        """Refuse a certificate or a private key that cannot be used.

        Raises:
            InvalidConfigError: naming the file.
        """
        if self.tls_certificate is None:
            return
        files = [path for path in (self.tls_certificate, self.tls_key) if path is not None]
        try:
            for path in files:
                path.open("rb").close()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls_certificate, self.tls_key, password=lambda: "")
        except (OSError, ValueError) as error:  # SSLError is an OSError
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise InvalidConfigError(
                "Certificate and private key must be PEM files that belong together, the key without a password",
                f"{' and '.join(shown(str(path)) for path in files)}: {one_line(reason, limit=200)}",
                "Make a pair with `openssl req -x509`, or get one from your authority",
            ) from error


def read_api_key(file: Path | None, environment_key: str | None) -> str | None:
    """The key in a file, else the one in the environment, else None.

    Raises:
        InvalidConfigError: if the file cannot be read, or is no file for a key.
    """
    if file is None:
        return environment_key or None
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_KEY_FILE_BYTES)
        return content.decode("ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no ASCII text"
        raise InvalidConfigError(
            "The file of the API key must hold the key and nothing else",
            f"{shown(str(file))}: {reason}",
            "Write the key into it with `openssl rand -hex 32 > FILE`",
        ) from error


def _is_host(name: str) -> bool:
    try:
        return bool(_HOST.fullmatch(name) or IPv6Address(name))
    except ValueError:
        return False


def _check_each(name: str, values: tuple[str, ...], fits: Callable[[str], object], wanted: str) -> None:
    if isinstance(values, str) or not all(isinstance(value, str) and fits(value) for value in values):
        raise InvalidConfigError(f"{name} must be {wanted}", f"got {shown(values)}", "Give each by itself")
