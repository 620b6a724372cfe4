"""Many trucks that share one simulated clock."""

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


class Label(Struct, frozen=True, gc=False):
    """Something that truly happened: kept beside the samples, for judging what an app made of them."""

    truck: str
    kind: str  # "door", "drift", "stuck", "dropout"
    start: int  # ns since the epoch
    end: int  # ns since the epoch


class ColdChain:
    """A fleet of trucks, named by numbers from 1 on."""

    def __init__(self, seed: int, trucks: int, *, start: int = 0, rates: Rates | None = None) -> None:
        """`start` is the time of the first step, ns since the epoch."""
        self.trucks: dict[str, Truck] = {
            str(n): Truck(str(n), f"{seed}/{n}", rates or Rates()) for n in range(1, trucks + 1)
        }
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
                self.labels.append(Label(truck.name, kind, self._at(episode.start), self._at(episode.end)))
            celsius = truck.read()
            if celsius is not None:
                samples.append(Sample(truck.name, at, celsius))
        return samples

    def take_labels(self) -> list[Label]:
        """Return the labels of what began in the steps since the last call."""
        labels, self.labels = self.labels, []
        return labels

    def command(self, truck: str, payload: bytes) -> None:
        """Hand a JSON command such as `{"mode": "max"}` to a chiller.

        Raises:
            CommandError: there is no such truck or command.
        """
        if truck not in self.trucks:
            raise CommandError(f"truck {truck}: there are {len(self.trucks)}, by number")
        self.trucks[truck].command(payload)

    def _at(self, seconds: float) -> int:
        return self._start + round(seconds * SECOND)
