"""How functions behave, and what follows: who is moved to a process, and what health says of it."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from rimward.app.codes import assigned_globals
from rimward.app.functions import EdgeFunction
from rimward.edge.functions.instances import Instance
from rimward.edge.functions.placement import KILLS, Placement, forget_deaths, take_deaths
from rimward.events import RimwardError
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.functions")

TOLD = 600.0  # seconds that health names a function that was stopped


class Run(Protocol):
    """A function as the dispatcher has it."""

    killers: set[int]

    @property
    def function(self) -> EdgeFunction:
        """What was declared."""
        ...

    @property
    def runs(self) -> str:
        """Where its calls run."""
        ...


class Floor(Protocol):
    """The dispatcher, as far as functions are moved."""

    def place(self, name: str, where: Any, /) -> None:
        """Have a function's calls run elsewhere."""
        ...


class Placing:
    """Watches the functions of one node."""

    def __init__(
        self,
        floor: Floor,
        runs: Mapping[str, Run],
        placement: Placement,
        limits: tuple[int, float],
        clocks: tuple[Callable[[], int], Callable[[], int]],
    ) -> None:
        """`limits`: so many overruns in so many seconds move a function; `clocks`: wall, monotonic (ns)."""
        self._floor = floor
        self._runs = runs
        self._placement = placement
        self._overruns, within = limits
        self._within = round(within * 1e9)
        self._wall, self._monotonic = clocks
        self._changed = asyncio.Event()
        self._over: dict[str, deque[int]] = {}
        self._stopped: dict[str, tuple[int, int, str]] = {}  # how often, monotonic ns of the last, sentence
        self._instances: dict[str, Instance] = {
            name: Instance(one.function.plan.function) for name, one in runs.items()
        }
        self.advice: dict[str, str] = {}  # what somebody should do about a function

    def load(self, deaths: Path) -> None:
        """Take over what is written of calls that killed earlier processes; it waits for the disk."""
        for death in take_deaths(deaths):
            if death.function not in self._runs:
                continue
            kills = self._placement.killed(death.function, death.digest)
            log.error(
                "a function killed the process", function=death.function, cause=death.cause,
                seconds=death.seconds, kills_of_this_event=kills,
            )  # fmt: skip
            self._note(death.function, f"a call did not end well: {death.cause}")
        if self._changed.is_set():
            self._placement.write(self._placement.encoded())
            self._changed.clear()
        if self._placement.problem is None:
            forget_deaths(deaths)

    def start(self) -> None:
        """Place the functions as is known of them."""
        for name, run in self._runs.items():
            run.killers |= self._placement.killers(name)
            if name in self._placement.functions:
                self._place(name)

    async def flush(self) -> None:
        """Write down what has changed, before another version's is read."""
        if self._changed.is_set():
            self._changed.clear()
            await asyncio.to_thread(self._placement.write, self._placement.encoded())

    async def keep(self) -> None:
        """Write down what changes, for ever."""
        while True:
            await self._changed.wait()
            await self.flush()

    def stopped(self, function: str, place: str, own: int) -> None:
        """Make the function's instance anew, and name it in health."""
        times = self._stopped.get(function, (0, 0, ""))[0] + 1
        sentence = f"was stopped {times} times, last at {place} after {own / 1e9:.3g} s"
        self._stopped[function] = (times, self._monotonic(), sentence)
        instance = self._instances[function]
        instance.renew()
        if instance.names:
            log.warning(
                "a function's globals are as they were at load", function=function, names=instance.names
            )
        if instance.odd:
            log.warning(
                "some of a function's globals can't be made anew", function=function, names=instance.odd
            )

    def overran(self, function: str) -> None:
        """Count it; too many in too short a time move the function to a process of its own."""
        times = self._over.setdefault(function, deque(maxlen=self._overruns))
        now = self._monotonic()
        times.append(now)
        if len(times) < self._overruns or now - times[0] > self._within or function in self.advice:
            return
        times.clear()
        run = self._runs[function]
        if run.runs != "inline":
            return
        reason = f"{self._overruns} calls went over its budget by their own time in {self._within / 1e9:g} s"
        if run.function.run != "auto":
            self.advice[function] = f'{reason}: run="auto" would move it to a process of its own'
        elif kept := assigned_globals(run.function.plan.function):
            names = ", ".join(sorted(kept))
            self.advice[function] = f"{reason}: it would be moved, but it keeps globals ({names}); use State"
        else:
            self._note(function, reason)
            self._place(function)

    def died(self, function: str, event: int) -> None:
        """Keep that an event has killed a worker; one that has killed twice is not run any more."""
        kills = self._placement.killed(function, f"{event:08x}")
        self._changed.set()
        if kills >= KILLS:
            killers = self._runs[function].killers
            killers.clear()  # those that the placement had no room for any more
            killers |= self._placement.killers(function)

    def problems(self) -> dict[str, str]:
        """Return what health says of functions, by "function NAME"."""
        told: dict[str, str] = {}
        now = self._monotonic()
        for name, placed in self._placement.functions.items():
            told[name] = f"runs in a {placed.where} until its code changes: {placed.reason}"
        told |= self.advice
        for name, (_, at, sentence) in self._stopped.items():
            if now - at < TOLD * 1e9:
                told[name] = f"{sentence}; {told[name]}" if name in told else sentence
        found = {f"function {name}": sentence for name, sentence in told.items()}
        if self._placement.problem is not None:
            found["placement"] = self._placement.problem
        return found

    def where(self) -> dict[str, str]:
        """Return where each function runs."""
        return {name: run.runs for name, run in self._runs.items()}

    def _note(self, function: str, reason: str) -> None:
        self._changed.set()
        if self._runs[function].function.run in {"process", "wasm"}:
            return  # it is contained already
        self._placement.move(function, "process", reason, self._wall())
        log.warning("a function is moved to a process of its own", function=function, reason=reason)

    def _place(self, function: str) -> None:
        """Have it run in a process; where that can't be, health says so."""
        try:
            self._floor.place(function, "process")
        except RimwardError as error:
            self.advice[function] = f"is to run in a process of its own and can't: {error}"
            log.error("a function can't be moved", function=function, error=str(error))  # noqa: TRY400 (the sentence says it all)
