"""The page's parts kept up to date for everybody who watches, and told apart by version."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from rimward.console.history import History
from rimward.console.html import Html
from rimward.console.judge import problems
from rimward.console.model import Problem, Seen
from rimward.console.page import parts
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.console")

WATCHED, UNWATCHED = 0.5, 2.0  # seconds between two looks; the first keeps the stream at 2 Hz
BEAT = 2.0  # seconds after which a watcher hears that nothing changed
FRESH = 0.25  # seconds within which a look is not repeated


class Look(Protocol):
    """How the feed reads the other processes' files; it blocks, so it runs in a thread."""

    def __call__(self, *, thorough: bool) -> Seen:
        """Read; `thorough` includes what costs the lake some work."""
        ...


class Feed:
    """Reads, renders, and wakes the watchers when something changed."""

    def __init__(self, look: Look, *, run: str, monotonic: Callable[[], float]) -> None:
        self._look = look
        self._run = run  # tells this process's versions from another's
        self._monotonic = monotonic
        self._history = History()
        self._looked_at = float("-inf")
        self._parts: dict[str, tuple[Html, int]] = {}  # with the version that changed it last
        self._number = 0
        self.problems: list[Problem] = []  # of the newest look
        self._changed = asyncio.Condition()
        self._looking = asyncio.Lock()
        self._watchers = 0
        self.closed = False

    @property
    def version(self) -> str:
        """The newest version's name."""
        return f"{self._run}-{self._number}"

    @property
    def shown(self) -> dict[str, Html]:
        """All parts as they are now."""
        return {name: part for name, (part, _) in self._parts.items()}

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(WATCHED if self._watchers else UNWATCHED)
            try:
                await self.refresh(thorough=bool(self._watchers))
            except Exception:  # the outermost edge: a page must not take its host down
                log.exception("the console could not look at the data folder")

    async def refresh(self, *, thorough: bool = True) -> None:
        """Look once, unless somebody just did."""
        async with self._looking:
            if self._monotonic() - self._looked_at < FRESH:
                return
            seen = await asyncio.to_thread(self._look, thorough=thorough)
            self._looked_at = self._monotonic()
            await self._take(seen)

    async def changes(self, after: str) -> "Changes":
        """Return what changed since version `after`, waiting for it; since another run's, everything did.

        After `BEAT` seconds without a change it returns none.
        """
        run, _, number = after.rpartition("-")
        known = int(number) if run == self._run and number.isdecimal() else -1
        self._watchers += 1
        try:
            async with asyncio.timeout(BEAT), self._changed:
                await self._changed.wait_for(lambda: self.closed or self._number > known)
        except TimeoutError:
            return after, {}
        finally:
            self._watchers -= 1
        return self.version, {name: part for name, (part, since) in self._parts.items() if since > known}

    async def close(self) -> None:
        """End every watcher's wait."""
        async with self._changed:
            self.closed: bool = True
            self._changed.notify_all()

    async def _take(self, seen: Seen) -> None:
        if seen.snapshot is not None:
            self._history.add(seen.snapshot)
        self.problems = problems(seen, self._history)
        new = parts(seen, self._history)
        changed = {name for name, part in new.items() if self._parts.get(name, (None, 0))[0] != part}
        if not changed:
            return
        async with self._changed:
            self._number += 1
            for name in changed:
                self._parts[name] = (new[name], self._number)
            self._changed.notify_all()


Changes = tuple[str, dict[str, Html]]  # the version's name and the parts that changed
