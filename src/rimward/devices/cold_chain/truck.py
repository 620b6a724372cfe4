"""One truck: its box and doors, and the thermometer that reports them, with the thermometer's faults."""

from collections.abc import Iterator
from math import floor, pi, sin
from random import Random
from typing import ClassVar

import msgspec
from msgspec import Struct

from rimward.devices.cold_chain.box import Box, Mode
from rimward.devices.cold_chain.episodes import Episode, Episodes, Rate
from rimward.events import RimwardError

WEATHER = 300.0  # seconds between two changes of the ambient temperature
DAY = 86_400.0  # seconds


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

    def __init__(self, name: str, seed: str, rates: Rates) -> None:
        self.name = name
        self.now = 0.0
        self._random = Random(seed + "/sensor")  # noqa: S311 (a simulation; the seed is its identity)
        place = Random(seed + "/place")  # noqa: S311 (as above)
        self._mean = place.uniform(8.0, 28.0)  # °C of the day
        self._swing = place.uniform(2.0, 7.0)  # °C to either side
        self._phase = place.uniform(0.0, DAY)  # seconds
        self._slope = place.choice((-1, 1)) * place.uniform(0.2, 1.0) / 3600  # °C/s of a drift
        self.box: Box = Box(place.uniform(3.2, 4.8), self._ambient())
        self._episodes = {
            kind: Episodes(getattr(rates, kind), f"{seed}/{kind}") for kind in Rates.__struct_fields__
        }
        self._last: float | None = None  # what the thermometer said last
        self._announced = dict.fromkeys(self._episodes, -1.0)  # start of the newest episode told

    def advance(self, to: float) -> list[tuple[str, Episode]]:
        """Let time pass until `to`; return the episodes that have begun, by kind."""
        begun: list[tuple[str, Episode]] = []
        door = self._episodes["door"]
        while self.now < to:
            begun += self._over(self.now)
            self.box.is_open = door.is_on(self.now)
            weather = (floor(self.now / WEATHER) + 1) * WEATHER
            until = min(to, weather, door.next_change(self.now))
            self.box.advance(until - self.now)
            self.now: float = until
            self.box.ambient = self._ambient()
        begun += self._over(to)
        self.box.is_open = door.is_on(to)
        return begun + list(self._going_on(to))

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
