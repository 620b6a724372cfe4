"""The app in the zygote, as every worker inherits it."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from rimward.app import App
from rimward.app.fresh import load_fresh
from rimward.app.loading import load
from rimward.edge.functions.confining import Confining, ground_of
from rimward.edge.functions.prepared import Prepared, prepare
from rimward.edge.functions.waiter import WaitingWorker
from rimward.edge.functions.worker import Worker
from rimward.observe import Logger, configure, get_logger
from rimward.wire.functions import LENGTH, Begin, Caged

log: Logger = get_logger("rimward.functions")

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
        if begin.caged is not None:
            prepared.call = caged(self._app, prepared, begin.caged)
        kind = WaitingWorker if prepared.is_async else Worker
        kind(self._app, prepared, (sock, page), begin, confining).run()


def caged(app: App, prepared: Prepared, where: Caged) -> Callable[..., Any]:
    """Return what calls a function that runs in WebAssembly."""
    from rimward.edge.functions.wasm.cage import Cage, Limits

    names = tuple(one.name for one in prepared.parameters)
    cage = Cage(prepared.name, names, app.facts, Limits(where.memory, where.limit), log_of(prepared.name))
    cage.open(Path(where.path))
    return cage.call


def log_of(function: str) -> Callable[[str], None]:
    """Return what logs a function's own words."""

    def say(text: str) -> None:
        for line in filter(None, text.splitlines()):
            log.info("a function says", function=function, text=line)

    return say


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
