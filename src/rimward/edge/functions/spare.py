"""A worker before it is known for which function: forked, confined as far as that can be, and waiting.

What takes time is over before somebody waits for it: the fork, the first touch of the zygote's pages, the
rules about files. So a worker that died is followed by another within a fraction of a millisecond of work.
"""

import ctypes
import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, Self

from rimward.edge.functions.processes import close_all_but

if TYPE_CHECKING:
    from rimward.edge.functions.loaded import Loaded

_PR_SET_PDEATHSIG = 1
_OOM_FIRST = "1000"  # where memory is short a worker goes before anything else
_BROKEN = 70  # exit code
_libc = ctypes.CDLL(None)


class Spare:
    """The zygote's end of one."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid: int = pid
        self._sock = sock

    @classmethod
    def fork(cls, loaded: "Loaded") -> Self:
        """Make one.

        Raises:
            OSError: no process is to be had.
        """
        mine, far = socket.socketpair()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            mine.close()
            far.close()
            raise
        if pid == 0:
            _become(parent, far.detach(), loaded)
        far.close()
        return cls(pid, mine)

    def begin(self, sock: int, page: int) -> bool:
        """Have it be the worker at the other end of a socket, with its page; False where it is gone."""
        try:
            socket.send_fds(self._sock, [b"\0"], [sock, page])
        except OSError:
            return False
        finally:
            self._sock.close()
        return True

    def close(self) -> None:
        """Let go of it: it ends."""
        self._sock.close()


def _become(parent: int, sock: int, loaded: "Loaded") -> NoReturn:
    """Be a spare and then a worker, in the copy of the zygote; nothing of it may run on."""
    try:
        os.setpgid(0, 0)  # what it starts ends with it
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(_BROKEN)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        close_all_but(sock)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (once a worker)
            file.write(_OOM_FIRST)
        confining = loaded.confining()
        with socket.socket(fileno=sock) as waiting:
            data, given, _, _ = socket.recv_fds(waiting, 1, 2)
        if not data:
            os._exit(0)
        loaded.work(socket.socket(fileno=given[0]), given[1], confining)
    except BaseException as error:  # noqa: BLE001 (as the docstring says)
        with suppress(OSError):
            os.write(2, f"a worker ends: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(_BROKEN)
