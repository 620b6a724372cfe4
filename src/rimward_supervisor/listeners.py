"""The listening sockets: bound here once, so that they outlive the processes that serve them."""

import os
import socket
import stat
from contextlib import suppress
from typing import NamedTuple

BACKLOG = 4096  # connections that may wait, also while a process is restarted; the kernel's somaxconn caps it
TRIES = 16  # ports that two listeners try to have both
TCP, UDP, UNIX = "tcp", "udp", "unix"


class Address(NamedTuple):
    """Where to listen."""

    kind: str  # TCP, UDP or UNIX
    host: str = ""  # an IP address
    port: int = 0  # 0: a free one
    path: str = ""  # of a Unix socket
    mode: int = 0o600  # of its file: whoever may write it may connect
    beside: str = ""  # the name of an earlier listener, whose port it has too; `port` says nothing then

    def __str__(self) -> str:
        if self.kind == UNIX:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ListenError(Exception):
    """An address can't be listened on."""

    def __init__(self, name: str, address: Address, reason: str) -> None:
        super().__init__(f"{name}: {address}: {reason}")
        self.name = name
        self.port = address.port
        self.address = str(address)
        self.reason = reason


def bind(addresses: dict[str, Address]) -> dict[str, socket.socket]:
    """Listen on every address, or on none.

    Raises:
        ListenError: one of them is in use, not ours, or not allowed.
    """
    sockets: dict[str, socket.socket] = {}
    for name, address in addresses.items():
        try:
            sockets[name] = _beside(address, addresses, sockets) if address.beside else listen(address)
        except OSError as error:
            for opened in sockets.values():
                release(opened)
            raise ListenError(name, address, error.strerror or str(error)) from None
    return sockets


def _beside(
    address: Address, addresses: dict[str, Address], sockets: dict[str, socket.socket]
) -> socket.socket:
    """Listen on the port of another; where that one was any port, both take another if it is in use here.

    Raises:
        OSError: as `listen`.
    """
    name = address.beside
    for left in range(TRIES, 0, -1):
        try:
            return listen(address._replace(port=sockets[name].getsockname()[1]))
        except OSError:
            if addresses[name].port or left == 1:
                raise
        release(sockets[name])
        sockets[name] = listen(addresses[name])
    raise AssertionError


def bequeath(sock: socket.socket) -> None:
    """Set on a listening socket what all its connections are to have: Linux hands it on to them."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def listen(address: Address) -> socket.socket:
    """Return a socket that listens, or for UDP one that is bound.

    A Unix socket's file that nobody listens on any more is replaced.

    Raises:
        OSError: the address is in use, not ours, or not allowed.
    """
    if address.kind == UNIX:
        return _listen_at_path(address)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM if address.kind == UDP else socket.SOCK_STREAM)
    try:
        if address.kind == TCP:  # for UDP it would let two servers share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.host, address.port))
        if address.kind == TCP:
            bequeath(bound)
            bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def ports(sockets: dict[str, socket.socket]) -> dict[str, int]:
    """Return the port of each socket that has one."""
    return {name: sock.getsockname()[1] for name, sock in sockets.items() if sock.family != socket.AF_UNIX}


def release(bound: socket.socket) -> None:
    """Close a socket; the file of a Unix socket goes with it."""
    if bound.family == socket.AF_UNIX:
        with suppress(OSError):  # somebody was faster
            os.unlink(bound.getsockname())  # noqa: PTH108 -- pathlib would be a tenth of this process's memory
    bound.close()


def _listen_at_path(address: Address) -> socket.socket:
    _remove_stale(address.path)
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # nobody else may connect before the mode is set
    try:
        bound.bind(address.path)
        os.chmod(address.path, address.mode)  # noqa: PTH101 -- pathlib would be a tenth of this process's memory
        bound.listen(BACKLOG)
    except OSError:
        release(bound)
        raise
    finally:
        os.umask(before)
    return bound


def _remove_stale(path: str) -> None:
    """Take away the file that a dead server has left behind.

    Raises:
        OSError: somebody listens there, or the file is no socket.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(None, "a file that is no socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108 -- as above
            return
    raise FileExistsError(None, "Address already in use")
