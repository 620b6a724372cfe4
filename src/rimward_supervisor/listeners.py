"""The listening sockets: bound here once, so that they outlive the processes that serve them."""

import socket

BACKLOG = 1024  # devices that may queue while a process is restarted


class ListenError(Exception):
    """An address can't be listened on."""

    def __init__(self, name: str, address: tuple[str, int], reason: str) -> None:
        super().__init__(f"{name}: {address[0]}:{address[1]}: {reason}")
        self.name = name
        self.port = address[1]
        self.reason = reason


def bind(addresses: dict[str, tuple[str, int]]) -> dict[str, socket.socket]:
    """Listen on every address, or on none.

    Raises:
        ListenError: one of them is in use, not ours, or not allowed.
    """
    sockets: dict[str, socket.socket] = {}
    for name, address in addresses.items():
        try:
            sockets[name] = _listen(address)
        except OSError as error:
            for opened in sockets.values():
                opened.close()
            raise ListenError(name, address, error.strerror or str(error)) from None
    return sockets


def _listen(address: tuple[str, int]) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
