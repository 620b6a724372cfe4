"""The loop: standard input's commands, signals, ready lines and deaths, each turned into its next step.

starting --line--> ready --death--> waiting --back-off--> starting
    |                |---stop or restart---> stopping --death--> ended, or starting again
"""

import json
import os
import selectors
import signal
import socket
import time
from typing import Any

from rimward_supervisor.child import ENDED, READY, STARTING, STOPPING, WAITING, Child
from rimward_supervisor.events import remove_state, tell, write_state
from rimward_supervisor.faults import LOOK as FAULTS
from rimward_supervisor.faults import stands_still
from rimward_supervisor.listeners import bind, ports, release
from rimward_supervisor.spec import Spec
from rimward_supervisor.watch import Watch

LOOK = 5.0  # seconds between looks at the logs' sizes
CONNECT = 0.03  # seconds between tries whether an address answers
COMMAND_BYTES = 4096


class Supervisor:
    """Runs a spec until it is told to stop or nobody is left to tell it."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._since = time.time_ns()
        self._children = [
            Child(process, f"{spec.logs}/{process.name}.log", spec.log_bytes) for process in spec.processes
        ]
        self._by_name = {child.name: child for child in self._children}
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[str, socket.socket] = {}
        self._stopping = False
        self._typed = b""
        self._next_look = 0.0
        self._next_fault = 0.0 if spec.faults else float("inf")
        self._unwritten = ""  # why the state file is not what it should be

    def run(self) -> int:
        """Supervise; return 0 when everything has ended.

        Raises:
            ListenError: an address can't be listened on; nothing was started.
        """
        self._sockets = bind(self._spec.listeners)
        wake = self._catch_signals()
        self._selector.register(0, selectors.EVENT_READ, self._hear_commands)
        self._selector.register(wake, selectors.EVENT_READ, lambda: self._hear_signals(wake))
        tell("listening", ports=ports(self._sockets))
        while not (self._stopping and not any(child.alive for child in self._children)):
            self._step(time.monotonic())
            for key, _ in self._selector.select(self._pause(time.monotonic())):
                key.data()
            self._bury()
        for sock in self._sockets.values():
            release(sock)
        remove_state(self._spec.state)
        return 0

    def _step(self, now: float) -> None:
        """Do what is due."""
        for child in self._children:
            if child.deadline is not None and now >= child.deadline:
                self._due(child, now)
            if child.watch is not None and child.state == READY and now >= child.watch.next:
                self._look(child, child.watch, now)
        if now >= self._next_fault:
            self._next_fault = now + FAULTS
            self._halt()
        if now >= self._next_look:
            self._next_look = now + LOOK
            for child in self._children:
                child.rotate()
                child.put_behind()
            if self._unwritten:
                self._write_state()

    def _due(self, child: Child, now: float) -> None:
        if child.state == WAITING:
            self._start(child, now)
        elif child.state == STARTING:
            child.deadline = now + CONNECT
            if child.answers():
                self._ready(child)
        elif child.state == STOPPING:
            child.deadline = None
            self._tell("killed", child, pid=child.pid, grace=child.spec.grace)
            child.signal(signal.SIGKILL)

    def _pause(self, now: float) -> float:
        """Return the seconds until something is due."""
        due = [child.deadline for child in self._children if child.deadline is not None]
        due += [one.watch.next for one in self._children if one.watch is not None and one.state == READY]
        return max(0.0, min([*due, self._next_look, self._next_fault]) - now)

    def _look(self, child: Child, watch: Watch, now: float) -> None:
        """Look at the calls of a process, and do and tell what there is to."""
        was = watch.runs
        for found in watch.look(now):
            self._tell(found.event, child, pid=child.pid, **found.fields)
            if found.kill:
                child.signal(signal.SIGKILL)
        if watch.runs != was:
            self._write_state()

    def _halt(self) -> None:
        """Make those stand still of whom that is asked, and let the others go on."""
        for child in self._children:
            halted = child.state == READY and stands_still(child.name, self._spec.faults)
            if child.halt(halted=halted):
                self._tell("halted" if halted else "continued", child, pid=child.pid)

    def _start(self, child: Child, now: float) -> None:
        try:
            child.start(self._sockets, now)
        except OSError as error:  # no process, no descriptor: later, perhaps
            delay = child.restarts.died(now, 0.0)
            child.deadline = now + delay
            tell("unstarted", name=child.name, reason=error.strerror or str(error), delay=delay)
            return
        if child.unlogged:
            tell("unlogged", name=child.name, reason=child.unlogged)
        if child.ready_fd is not None:
            self._selector.register(child.ready_fd, selectors.EVENT_READ, lambda: self._hear(child))
        self._tell("started", child, pid=child.pid, restarts=child.restarts.count)
        if not child.spec.tells and child.spec.connect is None:
            self._ready(child)

    def _hear(self, child: Child) -> None:
        fd = child.ready_fd
        assert fd is not None
        said = child.hear()
        if child.ready_fd is None:
            self._selector.unregister(fd)
        if said is not None and child.state == STARTING:
            self._ready(child, said)

    def _ready(self, child: Child, line: str = "{}") -> None:
        child.state, child.deadline = READY, None
        child.put_behind()
        details: Any = {}
        try:
            details = json.loads(line)
        except ValueError:
            self._tell("odd", child, problem="its ready line is not JSON")
        took = round(child.lived(time.monotonic()), 3)
        self._tell("ready", child, pid=child.pid, seconds=took, details=details)

    def _bury(self) -> None:
        """Look for processes that have ended."""
        for child in self._children:
            fd, pid, was = child.ready_fd, child.pid, child.state
            if not child.alive or (code := child.bury()) is None:
                continue
            if fd is not None:
                self._selector.unregister(fd)
            watch, child.watch = child.watch, None
            if watch is not None:
                if was != STOPPING and (culprit := watch.died(code)) is not None:
                    self._tell(culprit.event, child, pid=pid, **culprit.fields)
                watch.close()
            self._ended(child, pid, code, was)

    def _ended(self, child: Child, pid: int | None, code: int, was: str) -> None:
        now = time.monotonic()
        if was == STOPPING or self._stopping:
            again = child.again and not self._stopping
            child.state, child.deadline = (WAITING, now) if again else (ENDED, None)
            child.restarts.count += again
            self._tell("stopped", child, pid=pid, code=code)
            self._stop_next(now)
        elif child.spec.once:
            child.state = ENDED
            self._tell("ended", child, pid=pid, code=code, log=child.last_lines())
        else:
            self._died(child, pid, code, now)

    def _died(self, child: Child, pid: int | None, code: int, now: float) -> None:
        lived = child.lived(now)
        delay = child.restarts.died(now, lived)
        child.restarts.count += 1
        child.state, child.deadline = WAITING, now + delay
        lines = child.last_lines()
        self._tell("died", child, pid=pid, code=code, lived=round(lived, 3), log=lines)
        if child.restarts.looping:
            self._tell("crash-loop", child, code=code, restarts=child.restarts.count, log=lines)
        self._tell("restarting", child, delay=delay)

    def _tell(self, event: str, child: Child, **fields: Any) -> None:
        """Tell an event of a process, once the state file knows it."""
        self._write_state()
        tell(event, name=child.name, **fields)

    def _write_state(self) -> None:
        """Write the state file; that it can't be written is told once, and tried again with every look."""
        problem = write_state(self._spec.state, self._since, self._children)
        if problem and not self._unwritten:
            tell("unwritten", what=self._spec.state, reason=problem)
        self._unwritten = problem

    def _stop(self) -> None:
        """Stop all, the last started first; asked for the second time, at once."""
        if self._stopping:
            for child in self._children:
                if child.alive:
                    child.signal(signal.SIGKILL)
            return
        self._stopping = True
        tell("stopping")
        for child in self._children:
            if not child.alive:
                child.state, child.deadline = ENDED, None
        self._stop_next(time.monotonic())

    def _stop_next(self, now: float) -> None:
        alive = [child for child in self._children if child.alive]
        if self._stopping and alive:
            alive[-1].stop(now)

    def _restart(self, name: str) -> None:
        child = self._by_name.get(name)
        if child is None or self._stopping:
            tell("refused", command=f"restart {name}", reason="stopping" if child else "no such process")
        elif child.alive:
            child.stop(time.monotonic(), again=True)
        else:
            child.state, child.deadline = WAITING, time.monotonic()

    def _hear_commands(self) -> None:
        data = os.read(0, COMMAND_BYTES)
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self._obey(line.decode(errors="replace").split())
        if not data or len(self._typed) > COMMAND_BYTES:  # nobody is left to tell us anything
            self._selector.unregister(0)
            self._stop()

    def _obey(self, words: list[str]) -> None:
        match words:
            case []:
                return
            case ["stop"]:
                self._stop()
            case ["restart", name]:
                self._restart(name)
            case _:
                tell("refused", command=" ".join(words), reason="no such command")

    def _catch_signals(self) -> int:
        """Return a descriptor that has a byte for each signal that comes."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _note)
        return read

    def _hear_signals(self, wake: int) -> None:
        for number in os.read(wake, 512):
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()


def _note(_number: int, _frame: object) -> None:
    """Let the signal reach the descriptor instead of its usual answer."""
