"""The zygote's workers: forked on request, reported when they are there and when they have ended."""

import ctypes
import gc
import os
import signal
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import msgspec

from rimward.edge.functions.cgroups import Cgroups
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

_PR_SET_PDEATHSIG = 1
_OOM_FIRST = "1000"  # where memory is short a worker goes before anything else
_libc = ctypes.CDLL(None)


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
        self._loaded: Loaded | None = None
        self._problem = ""  # why the app can't be loaded
        self._fresh = False  # another version was loaded before
        self._cgroups = Cgroups()

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
        self._app_name = opened.app
        try:
            enforced = probe(ground_of(opened.app))
        except OSError as error:
            why = f"not tried: {error}"
            enforced = Enforced(why, why, why, why, why)
        self._say(Here(os.getpid(), self._cgroups.told(enforced)))
        if opened.preload:
            self._load()

    def _anew(self, opened: Open) -> None:
        """Forget the version that is loaded: the workers from now on are of the one that is there now."""
        self._fresh = self._fresh or self._loaded is not None or bool(self._problem)
        self._app_name, self._loaded, self._problem = opened.app, None, ""
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
            self._loaded = Loaded(self._app_name, fresh=self._fresh)
        except Exception as error:  # noqa: BLE001 (an app may do anything at import; the node tells it)
            self._problem = f"the app can't be loaded for workers: {error}"
        gc.collect()
        gc.freeze()  # what was loaded stays: looking through it would copy its pages in every worker
        gc.enable()

    def _fork(self, wanted: Fork) -> None:
        sock, page = self._fds.popleft(), self._fds.popleft()
        self._load()
        pid = 0
        problem = self._problem
        if not problem:
            parent = os.getpid()
            try:
                pid = os.fork()
            except OSError as error:
                problem = f"no process is to be had: {error.strerror}"
            else:
                if pid == 0:
                    self._become(parent, sock, page)
        os.close(sock)
        os.close(page)
        if problem:
            self._say(Died(wanted.number, 1, problem))
            return
        self._workers[wanted.number], self._numbers[pid] = pid, wanted.number
        self._cgroups.hold(pid, wanted)
        self._say(Born(wanted.number, pid))

    def _become(self, parent: int, sock: int, page: int) -> NoReturn:
        """Be a worker, in the copy of the zygote; nothing of it may run on."""
        code = 70
        try:
            os.setpgid(0, 0)  # what it starts ends with it
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before the line above
                os._exit(code)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            _close_all_but(sock, page)
            with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (once a worker)
                file.write(_OOM_FIRST)
            assert self._loaded is not None
            self._loaded.work(socket.socket(fileno=sock), page)
        except BaseException as error:  # noqa: BLE001 (as the docstring says)
            with suppress(OSError):
                os.write(2, f"a worker ends: {type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)

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
                continue
            del self._workers[number]
            with suppress(OSError):  # what it has started, where it was allowed to
                os.killpg(pid, signal.SIGKILL)
            self._say(Died(number, os.waitstatus_to_exitcode(status), self._cgroups.release(number)))

    def end(self) -> None:
        """End every worker."""
        for pid in self._numbers:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in list(self._numbers):
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._cgroups.close()


def _close_all_but(*kept: int) -> None:
    last = 2
    for descriptor in sorted(kept):
        os.closerange(last + 1, descriptor)
        last = descriptor
    os.closerange(last + 1, 65_536)
