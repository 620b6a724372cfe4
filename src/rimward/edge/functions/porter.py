"""Puts workers into their control groups, in a process of its own.

The kernel waits for all processors before a process changes its group, on a busy machine for up to a second,
and whoever makes or takes away a group meanwhile waits too. The zygote must not: it ends what is over its
limit. The porter outlives it for a moment, to take the groups away.
"""

import os
import signal
import socket
import time
from contextlib import suppress
from typing import NoReturn

import msgspec
from msgspec import Struct

from rimward.edge.functions.cgroups import Cgroups
from rimward.edge.functions.processes import close_all_but
from rimward.wire.functions import Enforced, Fork

_MESSAGE = 512  # bytes of one at most
_PATIENCE = 5.0  # seconds in which the last workers are gone
_AGAIN = 0.02  # seconds between two looks for that


class _Errand(Struct, array_like=True):
    """What is to be done about one process."""

    pid: int
    gone: bool = False
    fork: Fork | None = None  # what it may take, once that is known


class Porter:
    """The zygote's way to the porter; without control groups there is none."""

    def __init__(self, groups: Cgroups) -> None:
        self._groups = groups
        self._encode = msgspec.msgpack.Encoder().encode
        self._sock: socket.socket | None = None
        if not groups:
            return
        mine, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(OSError):  # no process is to be had: then there are no groups
            if os.fork() == 0:
                _carry(far.detach(), groups)
            self._sock = mine
        far.close()

    def told(self, enforced: Enforced) -> Enforced:
        """Add to what is enforced by what."""
        return enforced if self._sock is None else self._groups.told(enforced)

    def hold(self, pid: int, fork: Fork | None = None) -> None:
        """Put a process into groups of its own, or tell what it may take once it is there."""
        self._send(_Errand(pid, fork=fork))

    def release(self, pid: int) -> str:
        """Take its groups away; return why it ended, if that was the kernel's doing for its memory."""
        if self._sock is None:
            return ""
        text = self._groups.why(pid)
        self._send(_Errand(pid, gone=True))
        return text

    def _send(self, errand: _Errand) -> None:
        if self._sock is not None:
            with suppress(OSError):  # it is gone: what is bounded otherwise stays so
                self._sock.send(self._encode(errand))

    def close(self) -> None:
        """Let it go; it takes all groups away."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None


def _carry(sock: int, groups: Cgroups) -> NoReturn:
    """Be the porter, in a copy of the zygote; nothing of it may run on."""
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # it ends when its zygote has
        close_all_but(sock)
        _serve(socket.socket(fileno=sock), groups)
        end = time.monotonic() + _PATIENCE
        while not groups.close() and time.monotonic() < end:
            time.sleep(_AGAIN)
    finally:
        os._exit(0)


def _serve(sock: socket.socket, groups: Cgroups) -> None:
    decoder = msgspec.msgpack.Decoder(_Errand)
    while data := sock.recv(_MESSAGE):
        errand = decoder.decode(data)
        if errand.gone:
            groups.remove(errand.pid)
        else:
            groups.hold(errand.pid, errand.fork)
