"""The node's way to the zygote: it listens, one zygote connects, and another one when that has died."""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Protocol

import msgspec

from rimward.edge.functions.link import Link
from rimward.edge.functions.processes import parent_of
from rimward.observe import Logger, get_logger
from rimward.wire.functions import (
    Born,
    Died,
    Fork,
    Frames,
    FromZygote,
    Here,
    Kill,
    Open,
    ToZygote,
    framed,
)

log: Logger = get_logger("rimward.workers")

READ = 1 << 16
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid [unix(7)]


class Nurse(Protocol):
    """Who hears of workers."""

    def here(self, here: Here) -> None:
        """A zygote has come."""
        ...

    def born(self, born: Born) -> None:
        """A worker is there."""
        ...

    def dead(self, died: Died) -> None:
        """A worker has ended."""
        ...

    def lost(self) -> None:
        """The zygote is gone, and all its workers with it."""
        ...


class Control:
    """One zygote at a time."""

    def __init__(self, listener: socket.socket, nurse: Nurse, opened: Callable[[], Open]) -> None:
        """`opened` is what each zygote is told first."""
        self._listener = listener
        self._nurse = nurse
        self._opened = opened
        self._link: socket.socket | None = None
        self._frames = Frames()
        self._decoder: msgspec.msgpack.Decoder[FromZygote] = msgspec.msgpack.Decoder(FromZygote)
        self._encoder = msgspec.msgpack.Encoder()
        self._waiting: list[tuple[Link, Fork]] = []  # for a zygote
        self._loop = asyncio.get_running_loop()
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    @property
    def connected(self) -> bool:
        """Whether a zygote is there."""
        return self._link is not None

    def _accept(self) -> None:
        try:
            link, _ = self._listener.accept()
        except OSError:  # it has given up
            return
        if self._link is not None or not _is_ours(link):
            log.warning("somebody who is no zygote of this node was turned away")
            link.close()
            return
        link.setblocking(False)
        self._link, self._frames = link, Frames()
        self._loop.add_reader(link, self._readable)
        self._send(self._opened())
        waiting, self._waiting = self._waiting, []
        for one, fork in waiting:
            self.fork(one, fork)

    def open(self) -> None:
        """Tell the zygote anew what each is told first: it loads what is there now."""
        self._send(self._opened())

    def fork(self, link: Link, fork: Fork) -> None:
        """Have a worker made; it waits for a zygote where there is none."""
        if link.eof:
            return
        if self._link is None:
            self._waiting.append((link, fork))
            return
        self._send(fork, [link.far.fileno(), link.page])
        link.give_away()

    def kill(self, number: int) -> None:
        """End a worker at once."""
        self._send(Kill(number))

    def _send(self, message: ToZygote, descriptors: list[int] | None = None) -> None:
        if self._link is None:
            return
        try:
            socket.send_fds(self._link, [framed(self._encoder, message)], descriptors or [])
        except OSError:  # it is gone, or it has not read for long
            self._lost()

    def _readable(self) -> None:
        assert self._link is not None
        try:
            data = self._link.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        for frame in self._frames.take(data):
            message = self._decoder.decode(frame)
            if isinstance(message, Born):
                self._nurse.born(message)
            elif isinstance(message, Died):
                self._nurse.dead(message)
            else:
                self._nurse.here(message)

    def _lost(self) -> None:
        if self._link is None:
            return
        self._loop.remove_reader(self._link)
        self._link.close()
        self._link = None
        self._nurse.lost()

    def close(self) -> None:
        """Let the zygote go; its workers end."""
        self._loop.remove_reader(self._listener)
        if self._link is not None:
            self._loop.remove_reader(self._link)
            self._link.close()
            self._link = None


def _is_ours(link: socket.socket) -> bool:
    """Tell whether the other end is a process of this user that this node's supervisor has started."""
    data = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(data)
    return user == os.geteuid() and parent_of(pid) in {os.getppid(), os.getpid()}
