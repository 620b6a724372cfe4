"""One process under supervision: its state, and what it takes to start, end and bury it."""

import os
import signal
import socket
import time
from contextlib import suppress

from rimward_supervisor.background import put_behind
from rimward_supervisor.listeners import ports
from rimward_supervisor.logs import open_log_or_nothing, rotate, size, tail
from rimward_supervisor.restarts import Restarts
from rimward_supervisor.spawn import Start, spawn
from rimward_supervisor.spec import ProcessSpec
from rimward_supervisor.watch import Watch

STARTING, READY, STOPPING, WAITING, ENDED = "starting", "ready", "stopping", "waiting", "ended"
READY_BYTES = 65_536  # what a process may tell when it is ready


class Child:
    """A process by name, through all its lives. Times are monotonic seconds."""

    def __init__(self, spec: ProcessSpec, log: str, log_bytes: int) -> None:
        self.spec = spec
        self.name = spec.name
        self.log = log
        self.state = ENDED if spec.waits else WAITING
        self.pid: int | None = None
        self.since: int | None = None  # wall ns of its last start
        self.restarts = Restarts()
        # WAITING: when to start; STOPPING: when to kill; STARTING: when to look whether it answers
        self.deadline: float | None = None if spec.waits else 0.0
        self.again = False  # it was told to stop in order to be started again
        self.ready_fd: int | None = None  # our end of its pipe
        self.halted = False  # it stands still because a fault was asked for
        self.watch: Watch | None = None  # over the calls of this life
        self.unlogged = ""  # why what it says in this life is not kept
        self._in_front = False  # its session is still to be put behind the others
        self._log_bytes = log_bytes
        self._log_start = 0
        self._started = 0.0
        self._said = b""

    @property
    def alive(self) -> bool:
        """Whether a process stands behind it."""
        return self.pid is not None

    def start(self, sockets: dict[str, socket.socket], now: float) -> None:
        """Start it; `ready_fd` is then to be watched, and `unlogged` says why it has no log in this life.

        Raises:
            OSError: no process or no descriptor is to be had; it waits as before.
        """
        rotate(self.log, self._log_bytes)
        self._log_start = size(self.log)
        told = None
        if self.spec.tells:
            self.ready_fd, told = os.pipe()
            os.set_blocking(self.ready_fd, False)
        log = None
        try:
            log, self.unlogged = open_log_or_nothing(self.log)
            self.pid = self._spawn(sockets, told, log)
        except OSError:
            self.close_pipe()
            raise
        finally:
            for descriptor in (log, told):
                if descriptor is not None:
                    os.close(descriptor)
        self.state, self.since, self._started, self._said = STARTING, time.time_ns(), now, b""
        self.again = self.halted = False
        self.watch = None if self.spec.watch is None else Watch(self.spec.watch, self.pid)
        self._in_front = self.spec.background
        self.deadline = now if self.spec.connect else None

    def _spawn(self, sockets: dict[str, socket.socket], told: int | None, log: int) -> int:
        fds = {name: sockets[name].fileno() for name in self.spec.listens_on}
        inherited = [*fds.values(), *([] if told is None else [told])]
        argv = self.spec.command(fds, ports(sockets), told)
        keeps = self.spec.keeps
        kept = {name: text for name, text in os.environ.items() if keeps is None or name in keeps}
        env = {**kept, **(self.spec.env or {})}
        return spawn(Start(argv, env, inherited, log, self.spec.background))

    def hear(self) -> str | None:
        """Read its pipe; return its line once it is whole."""
        assert self.ready_fd is not None
        try:
            data = os.read(self.ready_fd, 4096)
        except BlockingIOError:
            return None
        self._said += data
        whole = b"\n" in self._said
        if whole or not data or len(self._said) > READY_BYTES:
            self.close_pipe()
        return self._said.partition(b"\n")[0].decode(errors="replace") if whole else None

    def answers(self) -> bool:
        """Whether its address takes a connection."""
        assert self.spec.connect is not None
        try:
            socket.create_connection(self.spec.connect, timeout=0.2).close()
        except OSError:
            return False
        return True

    def stop(self, now: float, *, again: bool = False) -> None:
        """Ask it to end; it is killed when its grace is over."""
        self.again = again
        if self.state == STOPPING:
            return
        self.state, self.deadline = STOPPING, now + self.spec.grace
        self.signal(signal.SIGTERM)
        self.halt(halted=False)

    def halt(self, *, halted: bool) -> bool:
        """Make it stand still, or go on; return whether that is a change."""
        if self.pid is None or halted == self.halted:
            return False
        self.signal(signal.SIGSTOP if halted else signal.SIGCONT)
        self.halted = halted
        return True

    def put_behind(self) -> None:
        """Put one of the background behind the others, if that is not done yet."""
        if self._in_front and self.pid is not None:
            self._in_front = not put_behind(self.pid)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def bury(self) -> int | None:
        """Return its exit code, negative for a signal, if it has ended; with it goes what it left behind."""
        assert self.pid is not None
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except InterruptedError:
            return None
        if ended is None:
            return None
        with suppress(ProcessLookupError, PermissionError):  # before the pid is free for others
            os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.pid, self.deadline = None, None
        self.close_pipe()
        return os.waitstatus_to_exitcode(status)

    def close_pipe(self) -> None:
        """Close our end of its pipe."""
        if self.ready_fd is not None:
            os.close(self.ready_fd)
            self.ready_fd = None

    def lived(self, now: float) -> float:
        """Return the seconds since it was started."""
        return now - self._started

    def last_lines(self) -> list[str]:
        """Return the end of what it logged in this life."""
        return tail(self.log, self._log_start)

    def rotate(self) -> None:
        """Keep its log small."""
        rotate(self.log, self._log_bytes)
