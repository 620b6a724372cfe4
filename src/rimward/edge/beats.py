"""Beats: what the node does at a steady pace, on one absolute schedule each."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.beats")


async def beat(period: float, action: Callable[[], None]) -> None:
    """Call `action` every `period` seconds for ever; beats missed while the loop was busy run once."""
    loop = asyncio.get_running_loop()
    due = loop.time() + period
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        try:
            action()
        except Exception as error:
            log.exception("a beat failed", error=type(error).__name__)
        now = loop.time()
        due += period
        if due <= now:  # missed some: the next one is in the future
            due += ((now - due) // period + 1) * period


class Beats:
    """The beats of functions, by name: they follow from one version of an app to the next."""

    def __init__(self, run: Callable[[str], None]) -> None:
        """`run` is called at each function's beat."""
        self._run = run
        self._tasks: dict[str, tuple[float, asyncio.Task[None]]] = {}

    def follow(self, periods: dict[str, float]) -> None:
        """Beat for these functions, seconds; one whose period is the same stays on its schedule."""
        for name in [one for one, (period, _) in self._tasks.items() if periods.get(one) != period]:
            self._tasks.pop(name)[1].cancel()
        loop = asyncio.get_running_loop()
        for name, period in periods.items():
            if name not in self._tasks:
                self._tasks[name] = period, loop.create_task(beat(period, partial(self._run, name)))

    async def close(self) -> None:
        """Beat no more."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Alarm:
    """Calls what is due at its time, however often that moves; one timer of the loop at most."""

    def __init__(self, due: Callable[[], int | None], action: Callable[[], None]) -> None:
        """`due` says when, monotonic ns, None where there is nothing; `action` is asked again after it."""
        self._due = due
        self._action = action
        self._handle: asyncio.TimerHandle | None = None
        self._at = 0  # monotonic ns for which it is set

    def set(self) -> None:
        """Look when something is due now."""
        at = self._due()
        if self._handle is not None:
            if at == self._at:
                return
            self._handle.cancel()
            self._handle = None
        if at is not None:
            self._at = at
            wait = max(0, at - time.monotonic_ns()) * 1e-9
            self._handle = asyncio.get_running_loop().call_later(wait, self.ring)

    def ring(self) -> None:
        """Do what is due, and look when the next is."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        try:
            self._action()
        except Exception as error:
            log.exception("an alarm failed", error=type(error).__name__)
        self.set()

    def close(self) -> None:
        """Ring no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
