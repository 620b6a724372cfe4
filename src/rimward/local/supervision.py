"""The supervisor as a child of `rimward dev`: its events, commands to it, and another one if it dies."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct, field

from rimward.local.checking import ending
from rimward.local.errors import DevError
from rimward.local.folder import alive
from rimward_supervisor.logs import open_log_or_nothing

AGAIN = (0.0, 0.2, 1.0, 5.0)  # seconds before another supervisor is started; the last one repeats
DYING = 5.0  # seconds that the children of a dead supervisor get to be gone
NOT_OURS = os.strerror(errno.EADDRNOTAVAIL)


class Event(Struct):
    """One line of the supervisor."""

    event: str
    name: str = ""
    pid: int | None = None
    code: int = 0
    port: int = 0
    address: str = ""
    what: str = ""
    reason: str = ""
    log: list[str] = field(default_factory=list[str])
    ports: dict[str, int] = field(default_factory=dict[str, int])
    function: str = ""
    seconds: float = 0.0
    limit: float = 0.0
    place: str = ""
    kill: bool = False
    cause: str = ""


class Supervision:
    """Keeps a supervisor running until it is told to stop."""

    def __init__(self, write_spec: Callable[[dict[str, int]], Path], log: Path, lock: int) -> None:
        self._write_spec = write_spec
        self._log = log
        self._lock = lock  # the supervisor holds it too, so that nobody else starts while it still cleans up
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._spec: Path | None = None  # the last one that was written
        self._ports: dict[str, int] = {}
        self._pids: dict[str, int] = {}

    @property
    def pid(self) -> int | None:
        """The supervisor's pid while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def events(self) -> AsyncIterator[Event]:
        """Start the supervisor and yield what it tells, until it has stopped as it was told to.

        A death of it is the event `supervisor-died`; another one is started on the same ports, as soon as
        that can be done.

        Raises:
            DevError: the first one could not start.
        """
        deaths = 0
        while True:
            async for event in self._live():
                if event.event == "failed" and not self._ports:
                    assert self._process is not None
                    await self._process.wait()
                    raise _explain(event)
                await self._note(event)
                yield event
            if (process := self._process) is not None:
                code = await process.wait()
                if not self._stopping:
                    yield Event("supervisor-died", name="supervisor", pid=process.pid, code=code)
            if self._stopping:
                return
            await self._children_gone()
            await asyncio.sleep(AGAIN[min(deaths, len(AGAIN) - 1)])
            deaths += 1

    async def _live(self) -> AsyncIterator[Event]:
        self._process = None
        try:
            self._process = process = await self._start()
        except (DevError, OSError) as error:
            if not self._ports:
                raise
            yield Event("failed", what="start", reason=str(error))
            return
        assert process.stdout is not None
        if self._stopping:
            self.stop()
        while line := await process.stdout.readline():
            yield msgspec.json.decode(line, type=Event)

    async def _start(self) -> asyncio.subprocess.Process:
        spec = await asyncio.to_thread(self._written)
        log = await asyncio.to_thread(open_log_or_nothing, str(self._log))
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "rimward_supervisor", str(spec),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log[0],
                start_new_session=True, pass_fds=(self._lock,), limit=1 << 20,
            )  # fmt: skip
        finally:
            os.close(log[0])

    def _written(self) -> Path:
        """Write the spec; where the disk refuses it, the one that is there still says what to run."""
        try:
            self._spec = self._write_spec(self._ports)
        except DevError:
            if self._spec is None or not self._spec.exists():
                raise
        return self._spec

    async def _note(self, event: Event) -> None:
        if event.event == "listening":
            self._ports = event.ports
            with suppress(DevError):  # now, with these ports: when the next one starts the disk may be full
                await asyncio.to_thread(self._written)
        elif event.event == "started" and event.pid is not None:
            self._pids[event.name] = event.pid

    async def _children_gone(self) -> None:
        """Wait until the kernel has taken the dead supervisor's children away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DYING):
                for pid in self._pids.values():
                    while await asyncio.to_thread(alive, pid):  # noqa: ASYNC110 -- not our children: nothing tells
                        await asyncio.sleep(0.02)
        self._pids.clear()

    def restart(self, name: str) -> None:
        """Have a process stopped and started again, or started where it does not run."""
        self._command(f"restart {name}")

    def stop(self) -> None:
        """Have everything stopped in order."""
        self._stopping = True
        self._command("stop")

    def kill(self) -> None:
        """End everything at once: the kernel kills the children with the supervisor."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    def _command(self, line: str) -> None:
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.write(line.encode() + b"\n")


def _explain(event: Event) -> DevError:
    if event.what != "listen":
        return DevError(f"the supervisor can't start: {event.reason}: the folder of logs may say more")
    if event.reason == NOT_OURS:
        return DevError(
            f"{event.address} ({event.name}) can't be used ({event.reason}): "
            "give --host an address of this machine, which ip address lists"
        )
    flag = event.name.partition("-")[0]
    return DevError(
        f"port {event.port} ({event.name}) can't be used ({event.reason}): "
        f"stop what uses it, or choose another, --{flag} 0 picks a free one"
    )


def describe(event: Event) -> str | None:
    """Return an event in words, None for what is no news."""
    name, how, said = event.name, ending(event.code), " | ".join(event.log[-3:])
    words = {
        "overran": _overran(event),
        "blocks": f"{event.function} waits at {event.place or '?'}, and holds up every device and caller: "
        'await it in an async def, or write run="process"',
        "culprit": f"{event.function} was running when {name} died ({event.cause}): "
        "from now on it runs in a process of its own",
        "died": f"{name} died ({how}), it is started again",
        "supervisor-died": f"the supervisor died ({how}) and all that it ran with it: they are started again",
        "crash-loop": f"{name} dies again and again ({how}): {said}",
        "halted": f"{name} stands still: rimward fault asked for it",
        "continued": f"{name} goes on",
        "killed": f"{name} did not stop in time and was killed",
        "failed": f"the supervisor can't start again yet: {event.reason}",
        "unstarted": f"{name} can't be started yet: {event.reason}",
        "unlogged": f"nothing that {name} logs is kept until its next start ({event.reason})",
        "unwritten": f"{event.what} can't be written ({event.reason}): what status says of processes is old",
        "ended": f"{name} is over" if event.code == 0 else f"{name} ended with {how}: {said}",
    }
    return words.get(event.event)


def _overran(event: Event) -> str:
    place = f" at {event.place}" if event.place else ""
    over = f"{event.function} has run for {event.seconds:.3g} s{place}, its limit is {event.limit:.3g} s"
    return f"{over}: {event.name} is killed" if event.kill else f"{over}: it is asked to stop"
