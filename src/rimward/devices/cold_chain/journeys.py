"""Where a truck drives and what happens on the way, as a plan that its seed decides.

A truck stops at one place after the other. It is loaded at a stop, so its door opens there for less than a
minute. Now and then one thing goes wrong, and never two at a time, so that what follows from it is beyond
doubt: the door is left open, it is opened on the road, the compressor fails, or the thermometer falls silent.
"""

from collections.abc import Callable, Iterator
from math import cos, hypot, radians
from random import Random
from typing import Literal, NamedTuple

from rimward.devices.cold_chain.episodes import Episode

DEGREE = 111_195.0  # metres of a degree of latitude
CALM = (1_200.0, 2_400.0)  # seconds from the end of one thing that goes wrong to the next
Fault = Literal["left-open", "on-the-road", "failure", "dropout"]
FAULTS: dict[Fault, tuple[float, float]] = {  # how long each lasts, seconds
    "left-open": (240.0, 480.0), "on-the-road": (20.0, 40.0), "failure": (1_500.0, 2_700.0),
    "dropout": (240.0, 480.0),
}  # fmt: skip


class Place(NamedTuple):
    """Where trucks stop."""

    name: str
    lon: float
    lat: float


DEPOT = Place("depot", 13.05, 52.40)
PLACES = (DEPOT, Place("harbour", 13.05, 52.46), Place("market", 13.15, 52.40), Place("clinic", 13.15, 52.46))


class Leg(NamedTuple):
    """One stop, or the way from one place to another, in seconds since the journey began."""

    start: float
    end: float
    at: Place
    to: Place  # the same where the truck stops
    openings: tuple[Episode, ...]  # of the door
    fault: tuple[Fault, Episode] | None

    def position(self, now: float) -> tuple[float, float]:
        """Return longitude and latitude at a time of the leg."""
        share = (now - self.start) / (self.end - self.start)
        return (
            self.at.lon + share * (self.to.lon - self.at.lon),
            self.at.lat + share * (self.to.lat - self.at.lat),
        )


def legs(seed: str) -> Iterator[Leg]:
    """Yield a truck's legs without an end; the first is a stop at the depot."""
    random = Random(seed + "/journey")  # noqa: S311 (a simulation; the seed is its identity)
    now, place, calm_until = 0.0, DEPOT, random.uniform(*CALM)
    while True:
        stop = _stop(random, now, place, calm=now < calm_until)
        yield stop
        to = random.choice([one for one in PLACES if one is not place])
        calm_until = _calm_after(random, stop, calm_until)
        drive = _drive(random, stop.end, place, to, calm=stop.end < calm_until)
        yield drive
        calm_until = _calm_after(random, drive, calm_until)
        now, place = drive.end, to


def plans(seed: str) -> dict[str, Iterator[Episode]]:
    """Return what happens on a truck's way, by kind."""

    def each(of: Callable[[Leg], tuple[Episode, ...]]) -> Iterator[Episode]:
        return (episode for leg in legs(seed) for episode in of(leg))

    found: dict[str, Iterator[Episode]] = {
        "door": each(lambda leg: leg.openings),
        "visit": each(lambda leg: (Episode(leg.start, leg.end, leg.at.name),) if leg.at is leg.to else ()),
    }
    for fault in FAULTS:
        found[fault] = each(
            lambda leg, fault=fault: (leg.fault[1],) if leg.fault and leg.fault[0] == fault else ()
        )
    return found


def _stop(random: Random, now: float, place: Place, *, calm: bool) -> Leg:
    opened = now + random.uniform(90.0, 180.0)
    shut = opened + random.uniform(20.0, 60.0)
    end = shut + random.uniform(240.0, 480.0)
    if calm:
        return Leg(now, end, place, place, (Episode(opened, shut),), None)
    fault = random.choice(("left-open", "failure", "dropout"))
    lasts = random.uniform(*FAULTS[fault])
    if fault == "left-open":
        left = Episode(opened, opened + lasts)
        return Leg(now, left.end + end - shut, place, place, (left,), (fault, left))
    return Leg(
        now, end, place, place, (Episode(opened, shut),), (fault, Episode(shut + 60.0, shut + 60.0 + lasts))
    )


def _drive(random: Random, now: float, at: Place, to: Place, *, calm: bool) -> Leg:
    metres = DEGREE * hypot((to.lon - at.lon) * cos(radians(at.lat)), to.lat - at.lat)
    end = now + metres / random.uniform(9.0, 14.0)
    if calm:
        return Leg(now, end, at, to, (), None)
    opened = now + (end - now) * random.uniform(0.3, 0.6)
    opening = Episode(opened, opened + random.uniform(*FAULTS["on-the-road"]))
    return Leg(now, end, at, to, (opening,), ("on-the-road", opening))


def _calm_after(random: Random, leg: Leg, calm_until: float) -> float:
    """Return until when nothing goes wrong, now that a leg is planned."""
    return calm_until if leg.fault is None else leg.fault[1].end + random.uniform(*CALM)
