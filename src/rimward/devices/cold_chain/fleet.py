"""Many trucks that share one simulated clock."""

from typing import Literal

import msgspec
from msgspec import Struct

from rimward.devices.cold_chain.truck import CommandError, Rates, Truck
from rimward.events import from_ns

SECOND = 1_000_000_000  # ns


class Sample(Struct, frozen=True, gc=False):
    """One report of one thermometer."""

    truck: str
    at: int  # ns since the epoch
    celsius: float

    def payload(self) -> bytes:
        """Return the JSON that a truck publishes."""
        return msgspec.json.encode({"celsius": self.celsius, "at": from_ns(self.at)})


class Report(Struct, frozen=True, gc=False):
    """What a truck that drives says besides its thermometer."""

    truck: str
    what: Literal["door", "position"]
    payload: bytes  # the JSON that it publishes


class Label(Struct, frozen=True, gc=False):
    """Something that truly happened: kept beside the samples, for judging what an app made of them."""

    truck: str
    kind: (
        str  # "door", "drift", "stuck", "dropout"; of one that drives those of `journeys`, "visit" and "warm"
    )
    start: int  # ns since the epoch
    end: int  # ns since the epoch
    place: str = ""  # of a visit


class ColdChain:
    """A fleet of trucks, named by numbers from 1 on."""

    def __init__(
        self, seed: int, trucks: int, *, start: int = 0, rates: Rates | None = None, drive: bool = False
    ) -> None:
        """`start` is the time of the first step, ns since the epoch; trucks that `drive` need no rates."""
        self.trucks: dict[str, Truck] = {
            str(n): Truck(str(n), f"{seed}/{n}", rates or Rates(), drives=drive) for n in range(1, trucks + 1)
        }
        self.reports: list[Report] = []  # what trucks have said since `take_reports`
        self.now: float = 0.0  # seconds since `start`
        self.labels: list[Label] = []  # what has begun since `take_labels`
        self._start = start

    def step(self, dt: float) -> list[Sample]:
        """Let `dt` seconds pass and return what the thermometers that are not silent say then."""
        self.now += dt
        at = self._at(self.now)
        samples: list[Sample] = []
        for truck in self.trucks.values():
            for kind, episode in truck.advance(self.now):
                start, end = self._at(episode.start), self._at(episode.end)
                self.labels.append(Label(truck.name, kind, start, end, episode.place))
            self._report(truck)
            celsius = truck.read()
            if celsius is not None:
                samples.append(Sample(truck.name, at, celsius))
        return samples

    def take_labels(self) -> list[Label]:
        """Return the labels of what began in the steps since the last call."""
        labels, self.labels = self.labels, []
        return labels

    def going_on(self) -> list[Label]:
        """Return the labels, up to now, of what is told when it ends: air that is too warm."""
        now = self._at(self.now)
        return [
            Label(truck.name, "warm", self._at(truck.warm_since), now)
            for truck in self.trucks.values()
            if truck.warm_since is not None
        ]

    def take_reports(self) -> list[Report]:
        """Return what trucks that drive have said in the steps since the last call."""
        reports, self.reports = self.reports, []
        return reports

    def command(self, truck: str, payload: bytes) -> None:
        """Hand a JSON command such as `{"mode": "max"}` to a chiller.

        Raises:
            CommandError: there is no such truck or command.
        """
        if truck not in self.trucks:
            raise CommandError(f"truck {truck}: there are {len(self.trucks)}, by number")
        self.trucks[truck].command(payload)

    def _report(self, truck: Truck) -> None:
        position = truck.position()
        if position is None:
            return
        changes, truck.changes = truck.changes, []
        for seconds, is_open in changes:
            door = {"open": is_open, "at": from_ns(self._at(seconds))}
            self.reports.append(Report(truck.name, "door", msgspec.json.encode(door)))
        lon, lat = position
        where = {"lon": lon, "lat": lat, "at": from_ns(self._at(self.now))}
        self.reports.append(Report(truck.name, "position", msgspec.json.encode(where)))

    def _at(self, seconds: float) -> int:
        return self._start + round(seconds * SECOND)
