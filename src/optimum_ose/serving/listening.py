"""The address that a server listens on: bound, or refused with a message that names it."""

import errno
import socket
import sys
from ipaddress import ip_address

from optimum_ose.exceptions import AddressError, InvalidConfigError
from optimum_ose.wording import shown

BACKLOG = 1024
_MAX_PORT = 65_535
_FIRST_FREE_PORT = 1024
_OTHER_FILES = 150
"""Files that a process holds open beside its connections, at most."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: name or address of this machine.
        port: 0 to 65535; 0 takes a free one.

    Raises:
        InvalidConfigError: if one of the two is of another kind or out of range.
        AddressError: if the host is unknown or another machine, or the port is taken or reserved.
    """
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= _MAX_PORT:
        raise InvalidConfigError(
            f"port must be a whole number from 0 to {_MAX_PORT:,}", f"got {shown(port)}", "0 takes a free one"
        )
    if not isinstance(host, str) or not host:
        raise InvalidConfigError(
            "host must be a name or an address", f"got {shown(host)}", "127.0.0.1 is this machine alone"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:  # UnicodeError is a ValueError
        raise AddressError(
            "host must be a name or an address that this machine knows",
            f"{shown(host)} is unknown",
            "Give one such as 127.0.0.1 or 0.0.0.0",
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, error) from error
    return listener


def url(host: str, port: int, *, scheme: str = "http") -> str:
    """The address of a server; IPv6 addresses stand in brackets."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_local(listener: socket.socket) -> bool:
    """Whether only this machine can reach a listening socket."""
    return ip_address(str(listener.getsockname()[0]).partition("%")[0]).is_loopback


def reserve_files(max_connections: int) -> None:
    """Let the process open as many files as its connections need.

    Raises:
        InvalidConfigError: if the system does not allow so many.
    """
    if sys.platform == "win32":  # it has no such limit
        return
    import resource

    needed = 2 * max_connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard) or needed <= soft:
        return
    if needed > hard:
        raise InvalidConfigError(
            f"max_connections must be at most {max(0, hard - _OTHER_FILES) // 2:,}",
            f"got {max_connections:,}, and this process may open {hard:,} files",
            "Give fewer, or raise the limit (`ulimit -n`)",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _refusal(host: str, port: int, error: OSError) -> AddressError:
    if error.errno == errno.EADDRINUSE:
        return AddressError(
            f"Port {port} of {host} must be free", "it is in use by another program", "Give another port; 0 takes one"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return AddressError(
            "host must be an address of this machine", f"{host} is not", "Give 127.0.0.1, or 0.0.0.0 for all of them"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return AddressError(
            f"Port {port} must be one that this user may listen on",
            "it is reserved",
            f"Give one from {_FIRST_FREE_PORT}",
        )
    return AddressError(
        f"The server must be able to listen on {url(host, port)}", error.strerror or str(error), "Give another address"
    )
