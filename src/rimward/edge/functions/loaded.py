"""The app in the zygote, as every worker inherits it."""

import os
import socket
from typing import NoReturn

import msgspec

from rimward.app.fresh import load_fresh
from rimward.app.loading import load
from rimward.edge.functions.confining import Confining, ground_of
from rimward.edge.functions.prepared import prepare
from rimward.edge.functions.waiter import WaitingWorker
from rimward.edge.functions.worker import Worker
from rimward.observe import configure
from rimward.wire.functions import LENGTH, Begin

_decode_begin = msgspec.msgpack.Decoder(Begin).decode  # made in the zygote


class Loaded:
    """One version of an app."""

    def __init__(self, name: str, hidden: tuple[str, ...], *, fresh: bool = False) -> None:
        """Load it; `fresh`: another version of it was loaded before. `hidden` is what no worker may read.

        Raises:
            LoadError: it can't be.
        """
        configure("worker")
        self._app = load_fresh(name)[0] if fresh else load(name)
        self._prepared = prepare(self._app)
        self._ground = ground_of(name, hidden)

    def confining(self) -> Confining:
        """Begin to confine this process."""
        return Confining(self._ground)

    def work(self, sock: socket.socket, page: int, confining: Confining) -> NoReturn:
        """Be a worker, for what the socket's first frame says."""
        begin = _begin(sock)
        prepared = self._prepared[begin.function]
        kind = WaitingWorker if prepared.is_async else Worker
        kind(self._app, prepared, (sock, page), begin, confining).run()


def _begin(sock: socket.socket) -> Begin:
    size = int.from_bytes(_read(sock, LENGTH), "big")
    return _decode_begin(_read(sock, size))


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data
