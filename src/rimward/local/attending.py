"""A supervisor as the command that started it sees it: pids, ports, who is ready, what went wrong."""

import asyncio
import signal
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from rimward.local.errors import DevError
from rimward.local.supervision import Event, Supervision, describe

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Attendant:
    """Takes note of everything that one supervision tells, until it is over."""

    def __init__(
        self, supervision: Supervision, names: Sequence[str], told: Iterable[str], logs: Path
    ) -> None:
        """`names` have to be ready before all is; `told` are the keys of the pids."""
        self._supervision = supervision
        self._names = names
        self._logs = logs
        self._serving: set[str] = set()  # processes that are ready
        self._ready = asyncio.Event()
        self.pids: dict[str, int | None] = dict.fromkeys(told)
        self.ports: dict[str, int] = {}
        self.stop: asyncio.Event = asyncio.Event()
        self.failure: DevError | None = None
        self.on_again: Callable[[], None] = lambda: None  # a process was restarted and serves again
        self.on_news: Callable[[str], None] = lambda _: None  # something that a person wants to know

    async def follow(self) -> None:
        """Take note until the supervisor has stopped."""
        try:
            async for event in self._supervision.events():
                self._see(event)
        except DevError as error:
            self.failure = error
            self.stop.set()

    async def all_ready(self, timeout: float) -> bool:  # noqa: ASYNC109 -- told to the person by its number
        """Wait until everything serves; False: it did not within `timeout` seconds, and all is stopped."""
        try:
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        except TimeoutError:
            late = [name for name in self._names if name not in self._serving]
            self.fail(
                f"{' and '.join(late)} not ready after {timeout:g} s: {self._logs / late[0]}.log says more"
            )
            return False
        return True

    def serving_node(self) -> int | None:
        """Return the node's pid, None where it does not serve."""
        return self.pids.get("node") if "node" in self._serving else None

    def fail(self, sentence: str) -> None:
        """Stop everything for a reason."""
        self.failure = DevError(sentence)
        self.stop.set()

    @contextmanager
    def signals_caught(self) -> Generator[None]:
        """The first signal stops everything in order, the second at once."""
        loop = asyncio.get_running_loop()

        def caught() -> None:
            if self.stop.is_set():
                self._supervision.kill()
            self.stop.set()

        for number in SIGNALS:
            loop.add_signal_handler(number, caught)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def _see(self, event: Event) -> None:
        match event.event:
            case "listening":
                self.ports, self.pids["supervisor"] = event.ports, self._supervision.pid
            case "started":
                self._serving.discard(event.name)
                self._set_pid(event.name, event.pid)
            case "ready":
                self._see_ready(event.name)
            case "died" | "stopped":
                self._serving.discard(event.name)
                self._set_pid(event.name, None)
            case "supervisor-died":
                self._serving.clear()
                self.pids = dict.fromkeys(self.pids)
            case "crash-loop" if not self._ready.is_set():
                lines = " | ".join(event.log[-3:]) or "it said nothing"
                self.fail(f"{event.name} can't start: {lines}: {self._logs / event.name}.log has more")
            case _:
                pass
        if (text := describe(event)) is not None and not self.stop.is_set():
            self.on_news(text)

    def _see_ready(self, name: str) -> None:
        self._serving.add(name)
        if self._ready.is_set() and name in self.pids:
            self.on_again()
        elif self._serving.issuperset(self._names):
            self._ready.set()

    def _set_pid(self, name: str, pid: int | None) -> None:
        if name in self.pids:
            self.pids[name] = pid
