"""Things that begin and last for a while: door openings, stops, and the faults of a sensor."""

from collections.abc import Iterator
from math import inf
from random import Random
from typing import NamedTuple

from msgspec import Struct


class Rate(Struct, frozen=True, forbid_unknown_fields=True):
    """How often something happens, and how long it lasts: a Poisson process of exponential stays."""

    every: float  # seconds, the mean from one end to the next start; `inf` is never
    lasts: float  # seconds, the mean


class Episode(NamedTuple):
    """One stay, in seconds since the simulation began."""

    start: float
    end: float
    place: str = ""


NEVER = Episode(inf, inf)


def at_random(rate: Rate, seed: str) -> Iterator[Episode]:
    """Yield episodes as their rate says."""
    random = Random(seed)  # noqa: S311 (a simulation; the seed is its identity)
    time = 0.0
    while rate.every < inf:
        start = time + random.expovariate(1 / rate.every)
        time = start + random.expovariate(1 / rate.lasts)
        yield Episode(start, time)


class Episodes:
    """The episodes of one kind at one truck, in order; they never overlap."""

    __slots__ = ("_plan", "current")

    def __init__(self, plan: Iterator[Episode]) -> None:
        self._plan = plan
        self.current: Episode = next(plan, NEVER)  # the episode that goes on, or comes next

    def advance(self, now: float) -> list[Episode]:
        """Move on to `now` and return the episodes that are over."""
        over: list[Episode] = []
        while now >= self.current.end:
            over.append(self.current)
            self.current = next(self._plan, NEVER)
        return over

    def is_on(self, now: float) -> bool:
        """Tell whether an episode goes on at `now`, the time of the last `advance` or later in it."""
        return self.current.start <= now < self.current.end

    def next_change(self, now: float) -> float:
        """Return when the next episode starts, or the one that goes on ends."""
        return self.current.end if self.is_on(now) else self.current.start
