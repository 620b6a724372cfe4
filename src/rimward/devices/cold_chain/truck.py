"""One truck: its box and doors, and the thermometer that reports them, with the thermometer's faults."""

from collections.abc import Iterator
from math import floor, pi, sin
from random import Random
from typing import ClassVar

import msgspec
from msgspec import Struct

from rimward.devices.cold_chain.box import Box, Mode
from rimward.devices.cold_chain.episodes import Episode, Episodes, Rate, at_random
from rimward.devices.cold_chain.journeys import Leg, legs, plans
from rimward.events import RimwardError

WEATHER = 300.0  # seconds between two changes of the ambient temperature
DAY = 86_400.0  # seconds
LOOK = 1.0  # seconds between two looks at whether what is carried is too warm
WARM = 8.0  # °C, the most that it may have
CURTAIN = 250.0  # W/K through the open door of a truck that is made for many stops
GPS = 0.00007  # degrees, some 8 m


class Rates(Struct, frozen=True, forbid_unknown_fields=True):
    """How often things happen to a truck and its thermometer."""

    door: Rate = Rate(every=1_500, lasts=75)
    drift: Rate = Rate(every=100_000, lasts=20_000)
    stuck: Rate = Rate(every=40_000, lasts=600)
    dropout: Rate = Rate(every=20_000, lasts=120)


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """What an app says to a chiller."""

    mode: Mode


class CommandError(RimwardError):
    """A command that a chiller does not know."""

    code: ClassVar[str] = "command"


class Truck:
    """A simulated truck; all times are seconds since the simulation began."""

    def __init__(self, name: str, seed: str, rates: Rates, *, drives: bool = False) -> None:
        """One that `drives` has a journey's plan in place of rates, and tells where it is and of its door."""
        self.name = name
        self.changes: list[tuple[float, bool]] = []  # when the door was opened or shut; the reader empties it
        self.now = 0.0
        self._random = Random(seed + "/sensor")  # noqa: S311 (a simulation; the seed is its identity)
        place = Random(seed + "/place")  # noqa: S311 (as above)
        self._mean = place.uniform(8.0, 28.0)  # °C of the day
        self._swing = place.uniform(2.0, 7.0)  # °C to either side
        self._phase = place.uniform(0.0, DAY)  # seconds
        self._slope = place.choice((-1, 1)) * place.uniform(0.2, 1.0) / 3600  # °C/s of a drift
        self.box: Box = Box(place.uniform(3.2, 4.8), self._ambient(), door=CURTAIN if drives else 900.0)
        self._legs = legs(seed) if drives else iter(())
        self._leg: Leg | None = next(self._legs, None)
        self._gps = Random(seed + "/gps")  # noqa: S311 (as above)
        self.warm_since: float | None = None
        found = plans(seed) if drives else {}
        for kind in (*Rates.__struct_fields__, "failure"):
            rate = None if drives else getattr(rates, kind, None)
            found.setdefault(kind, iter(()) if rate is None else at_random(rate, f"{seed}/{kind}"))
        self._episodes = {kind: Episodes(plan) for kind, plan in found.items()}
        self._last: float | None = None  # what the thermometer said last
        self._announced = dict.fromkeys(self._episodes, -1.0)  # start of the newest episode told

    def advance(self, to: float) -> list[tuple[str, Episode]]:
        """Let time pass until `to`; return the episodes that have begun, by kind."""
        begun: list[tuple[str, Episode]] = []
        door, failure = self._episodes["door"], self._episodes["failure"]
        while self.now < to:
            begun += self._over(self.now)
            self._happen()
            step = WEATHER if self._leg is None else LOOK
            ahead = (floor(self.now / step) + 1) * step
            until = min(to, ahead, door.next_change(self.now), failure.next_change(self.now))
            self.box.advance(until - self.now)
            self.now: float = until
            self.box.ambient = self._ambient()
            begun += self._excursion()
        begun += self._over(to)
        self._happen()
        return begun + list(self._going_on(to))

    def position(self) -> tuple[float, float] | None:
        """Return where the truck says it is, longitude and latitude; None for one that does not drive."""
        leg = self._leg
        if leg is None:
            return None
        while self.now >= leg.end:
            leg = self._leg = next(self._legs)
        lon, lat = leg.position(self.now)
        return round(lon + self._gps.gauss(0.0, GPS), 6), round(lat + self._gps.gauss(0.0, GPS), 6)

    def read(self) -> float | None:
        """Return what the thermometer reports now, °C to two places; None while it is silent."""
        noise = self._random.gauss(0.0, 0.05)
        if self._episodes["dropout"].is_on(self.now):
            return None
        if self._last is None or not self._episodes["stuck"].is_on(self.now):
            drift = self._episodes["drift"]
            error = (self.now - drift.current.start) * self._slope if drift.is_on(self.now) else 0.0
            self._last = round(self.box.celsius + error + noise, 2)
        return self._last

    def command(self, payload: bytes) -> None:
        """Obey a JSON command.

        Raises:
            CommandError: it is none.
        """
        try:
            self.box.command(msgspec.json.decode(payload, type=Command).mode)
        except msgspec.DecodeError as error:
            raise CommandError(f"truck {self.name}: {error}") from None

    def _happen(self) -> None:
        """Let door and compressor be as the plan has them now."""
        is_open = self._episodes["door"].is_on(self.now)
        if is_open != self.box.is_open:
            self.changes.append((self.now, is_open))
        self.box.is_open = is_open
        self.box.is_broken = self._episodes["failure"].is_on(self.now)

    def _excursion(self) -> list[tuple[str, Episode]]:
        """Return the stretch above the limit that has just ended, of a truck that drives."""
        since = self.warm_since
        if self._leg is None or (since is None) == (self.box.celsius <= WARM):
            return []
        self.warm_since = self.now if since is None else None
        return [] if since is None else [("warm", Episode(since, self.now))]

    def _over(self, now: float) -> list[tuple[str, Episode]]:
        """Move every kind on; return the episodes that began and ended without being told."""
        return [
            (kind, episode)
            for kind, episodes in self._episodes.items()
            for episode in episodes.advance(now)
            if self._is_news(kind, episode)
        ]

    def _going_on(self, now: float) -> Iterator[tuple[str, Episode]]:
        for kind, episodes in self._episodes.items():
            if episodes.is_on(now) and self._is_news(kind, episodes.current):
                yield kind, episodes.current

    def _is_news(self, kind: str, episode: Episode) -> bool:
        if episode.start <= self._announced[kind]:
            return False
        self._announced[kind] = episode.start
        return True

    def _ambient(self) -> float:
        step = floor(self.now / WEATHER) * WEATHER
        return self._mean + self._swing * sin(2 * pi * (step + self._phase) / DAY)
