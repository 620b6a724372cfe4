"""Processes that the demo starts: their lines, their end, and nothing left of them."""

import asyncio
import ctypes
import signal
import sys
from asyncio import StreamReader, Task
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

STOP = 20.0  # seconds that a process may take to stop in order
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class DemoError(Exception):
    """The demo can't go on, in one sentence."""


class Child:
    """One process; its standard output is read line by line."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.on_line: Callable[[bytes], None] | None = None
        self.lines_seen = 0
        self._name = name
        self._process = process
        self._log = log
        self._first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        assert process.stdout is not None
        self._reading: Task[None] = asyncio.create_task(self._read(process.stdout))

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def next_line(self, seconds: float) -> bytes:
        """Return its first line.

        Raises:
            DemoError: it ended instead, or said nothing in time.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._first
        except TimeoutError:
            raise DemoError(f"{self._name} was not ready after {seconds:g} s: {self.last_words()}") from None

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            DemoError: it does not.
        """
        if not self.is_running:
            raise DemoError(f"{self._name} ended by itself: {self.last_words()}")

    def last_words(self) -> str:
        """Return the last line that it wrote as a complaint."""
        with suppress(OSError):
            lines = self._log.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1]
        return f"it said nothing, see {self._log}"

    async def stop(self) -> None:
        """Have it stop in order; kill it where it does not. Everything that it said has been read then."""
        with suppress(ProcessLookupError):
            if self.is_running:
                self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read(self, stdout: StreamReader) -> None:
        async for line in stdout:
            self.lines_seen += 1
            if not self._first.done():
                self._first.set_result(line)
            if self.on_line is not None:
                self.on_line(line)
        if not self._first.done():
            await self._process.wait()
            self._first.set_exception(DemoError(f"{self._name} could not start: {self.last_words()}"))
            self._first.exception()  # nobody may be waiting for it


@asynccontextmanager
async def started(module: str, arguments: Sequence[str], *, cwd: Path, log: Path) -> AsyncGenerator[Child]:
    """Run `python -m MODULE`, and stop it at the end, whatever happens.

    It has a session of its own, so that ctrl-C reaches the demo alone, which stops things in their order. If
    the demo itself is killed, the kernel tells it to stop.
    """
    with log.open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=complaints, cwd=cwd,
            start_new_session=True, preexec_fn=_end_with_parent, limit=1 << 24,
        )  # fmt: skip
    child = Child(module, process, log)
    try:
        yield child
    finally:
        await child.stop()


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
