"""Starting one process: a session of its own, nothing inherited but what it asked for, dead when we die."""

import ctypes
import os
import signal
from contextlib import suppress
from typing import NamedTuple, NoReturn

from rimward_supervisor.background import give_way

_PR_SET_PDEATHSIG = 1
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # a process is born with the usual answers to them
_libc = ctypes.CDLL(None)


class Start(NamedTuple):
    """How a process starts."""

    argv: list[str]
    env: dict[str, str]
    fds: list[int]  # what it inherits beside its standard streams
    log: int  # descriptor of its standard output and error
    background: bool = False


def spawn(start: Start) -> int:
    """Start a process and return its pid; it is killed when this process ends, however that happens."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _become(start, parent)
    except BaseException as error:  # noqa: BLE001 -- nothing may run on in the copy of the supervisor
        with suppress(OSError):
            os.write(2, f"{start.argv[0]} can't be started: {error}\n".encode())
    os._exit(127)


def close_on_exec() -> None:
    """Let nothing that this process was born with reach the processes that it starts."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- pathlib would be a tenth of this process's memory
        if int(name) > 2:
            with suppress(OSError):  # the listing's own descriptor is gone by now
                os.set_inheritable(int(name), False)


def _become(start: Start, parent: int) -> NoReturn:
    os.setsid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(127)
    if start.background:
        give_way()
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(start.log, 1)
    os.dup2(start.log, 2)
    for fd in start.fds:
        os.set_inheritable(fd, True)
    os.execvpe(start.argv[0], start.argv, start.env)  # noqa: S606 -- no shell is the point
