"""Things that begin at random and last for a while: door openings and the faults of a sensor."""

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


class Episodes:
    """The episodes of one kind at one truck, in order; they never overlap."""

    __slots__ = ("_random", "_rate", "current")

    def __init__(self, rate: Rate, seed: str) -> None:
        self._rate = rate
        self._random = Random(seed)  # noqa: S311 (a simulation; the seed is its identity)
        self.current = self._after(0.0)  # the episode that goes on, or comes next

    def advance(self, now: float) -> list[Episode]:
        """Move on to `now` and return the episodes that are over."""
        over: list[Episode] = []
        while now >= self.current.end:
            over.append(self.current)
            self.current: Episode = self._after(self.current.end)
        return over

    def is_on(self, now: float) -> bool:
        """Tell whether an episode goes on at `now`, the time of the last `advance` or later in it."""
        return self.current.start <= now < self.current.end

    def next_change(self, now: float) -> float:
        """Return when the next episode starts, or the one that goes on ends."""
        return self.current.end if self.is_on(now) else self.current.start

    def _after(self, time: float) -> Episode:
        if self._rate.every == inf:
            return Episode(inf, inf)
        start = time + self._random.expovariate(1 / self._rate.every)
        return Episode(start, start + self._random.expovariate(1 / self._rate.lasts))
