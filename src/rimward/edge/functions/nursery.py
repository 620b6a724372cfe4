"""The zygote's workers: forked on request, reported when they are there and when they have ended."""

import gc
import os
import signal
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from rimward.edge.functions.cgroups import Cgroups
from rimward.edge.functions.porter import Porter
from rimward.edge.functions.spare import Spare
from rimward.wire.functions import (
    Born,
    Died,
    Enforced,
    Fork,
    Frames,
    FromZygote,
    Here,
    Kill,
    Open,
    ToZygote,
    framed,
)

if TYPE_CHECKING:
    from rimward.edge.functions.loaded import Loaded


class Nursery:
    """Forks workers for one node."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._frames = Frames()
        self._fds: deque[int] = deque()
        self._decoder: msgspec.msgpack.Decoder[ToZygote] = msgspec.msgpack.Decoder(ToZygote)
        self._encoder = msgspec.msgpack.Encoder()
        self._workers: dict[int, int] = {}  # pids by number
        self._numbers: dict[int, int] = {}  # and the other way
        self._app_name = ""
        self._hidden: tuple[str, ...] = ()
        self._loaded: Loaded | None = None
        self._problem = ""  # why the app can't be loaded
        self._fresh = False  # another version was loaded before
        self._porter = Porter(Cgroups())
        self._spare: Spare | None = None
        self._wants_spare = False

    def take(self, data: bytes, descriptors: list[int]) -> None:
        """Do what the node asks for."""
        self._fds += descriptors
        for frame in self._frames.take(data):
            message = self._decoder.decode(frame)
            if isinstance(message, Open):
                self._open(message)
            elif isinstance(message, Fork):
                self._fork(message)
            else:
                self._kill(message)

    def _say(self, message: FromZygote) -> None:
        with suppress(OSError):  # the node is gone: the next read says so too
            self._link.sendall(framed(self._encoder, message))

    def _open(self, opened: Open) -> None:
        from rimward.edge.functions.confining import ground_of, probe

        if self._app_name:
            self._anew(opened)
            return
        self._app_name, self._hidden = opened.app, opened.hidden
        try:
            enforced = probe(ground_of(opened.app))
        except OSError as error:
            why = f"not tried: {error}"
            enforced = Enforced(why, why, why, why, why)
        self._say(Here(os.getpid(), self._porter.told(enforced)))
        if opened.preload:
            self._load()

    def _anew(self, opened: Open) -> None:
        """Forget the version that is loaded: the workers from now on are of the one that is there now."""
        self._fresh = self._fresh or self._loaded is not None or bool(self._problem)
        self._app_name, self._loaded, self._problem = opened.app, None, ""
        self._hidden = opened.hidden
        if self._spare is not None:
            self._spare.close()  # it ends, and is buried
            self._spare = None
        gc.unfreeze()
        if opened.preload:
            self._load()

    def _load(self) -> None:
        """Load the app; workers inherit it."""
        if self._loaded is not None or self._problem:
            return
        from rimward.edge.functions.loaded import Loaded

        gc.disable()
        try:
            self._loaded = Loaded(self._app_name, self._hidden, fresh=self._fresh)
        except Exception as error:  # noqa: BLE001 (an app may do anything at import; the node tells it)
            self._problem = f"the app can't be loaded for workers: {error}"
        gc.collect()
        gc.freeze()  # what was loaded stays: looking through it would copy its pages in every worker
        gc.enable()

    def _fork(self, wanted: Fork) -> None:
        sock, page = self._fds.popleft(), self._fds.popleft()
        self._load()
        problem = self._problem
        try:
            worker = None if problem else self._worker(sock, page)
        except OSError as error:
            worker, problem = None, f"no process is to be had: {error.strerror}"
        os.close(sock)
        os.close(page)
        if worker is None:
            self._say(Died(wanted.number, 1, problem))
            return
        self._workers[wanted.number], self._numbers[worker.pid] = worker.pid, wanted.number
        self._porter.hold(worker.pid, wanted)
        self._say(Born(wanted.number, worker.pid))
        self._wants_spare = True

    def _worker(self, sock: int, page: int) -> Spare:
        """Have the spare begin, or one that is forked now.

        Raises:
            OSError: no process is to be had.
        """
        spare, self._spare = self._spare, None
        if spare is not None and spare.begin(sock, page):
            return spare
        assert self._loaded is not None
        fresh = Spare.fork(self._loaded)
        fresh.begin(sock, page)
        return fresh

    @property
    def wants_spare(self) -> bool:
        """Whether a worker is to be forked ahead once there is nothing else to do."""
        return self._wants_spare and self._spare is None and self._loaded is not None

    def fork_spare(self) -> None:
        """Fork a worker ahead, for whichever function needs one next."""
        self._wants_spare = False
        if self._loaded is not None:
            with suppress(OSError):  # no process is to be had: whoever needs one is told
                self._spare = Spare.fork(self._loaded)
                self._porter.hold(self._spare.pid)

    def _kill(self, wanted: Kill) -> None:
        if (pid := self._workers.get(wanted.number)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def bury(self) -> None:
        """Report the workers that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self._numbers.pop(pid, None)
            if number is None:
                self._bury_spare(pid)
                continue
            del self._workers[number]
            with suppress(OSError):  # what it has started, where it was allowed to
                os.killpg(pid, signal.SIGKILL)
            self._say(Died(number, os.waitstatus_to_exitcode(status), self._porter.release(pid)))

    def _bury_spare(self, pid: int) -> None:
        self._porter.release(pid)
        if self._spare is not None and self._spare.pid == pid:
            self._spare.close()
            self._spare, self._wants_spare = None, True

    def end(self) -> None:
        """End every worker."""
        if self._spare is not None:
            self._spare.close()
            self._numbers[self._spare.pid] = 0
        for pid in self._numbers:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in list(self._numbers):
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._porter.close()
