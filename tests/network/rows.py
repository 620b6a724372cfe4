"""A source of rows for the uplink's core, and ways to ask it."""

from typing import Any

from rimward.network.uplink import UplinkCore
from rimward.wire import Epoch, Lane, Mark, Place, Segment, Supply

ROWS = 10  # of one envelope


class Rows:
    """A source with so many rows for each lane and epoch; the nonce of epoch n is n."""

    def __init__(self, **facts: tuple[str, dict[int, int]]) -> None:
        self.facts = dict(facts)

    def add(self, lane: str, count: int, priority: str = "normal", counter: int = 1) -> None:
        """Give a lane more rows."""
        _, lanes = self.facts.setdefault(lane, (priority, {}))
        lanes[counter] = lanes.get(counter, 0) + count

    def supplies(self) -> list[Supply]:
        return [
            Supply(fact, priority, max(lanes.items(), default=(0, 0)))
            for fact, (priority, lanes) in self.facts.items()
        ]

    def segment(self, supply: Supply, after: Place, most: int = 0) -> Segment | None:
        for counter, last in sorted(self.facts[supply.fact][1].items()):
            if (counter, last) > after:
                first = after[1] + 1 if after[0] == counter else 1
                lane = Lane("n", Epoch(counter, counter), supply.fact)
                return Segment(lane, first, min(last, first + ROWS - 1), "s", supply.priority, b"")
        return None


def mark(fact: str, counter: int, seq: int, version: int = 1, **other: Any) -> Mark:
    return Mark(fact, other.get("table", "t"), other.get("generation", 0), version, counter, counter, seq)


def drain(
    core: UplinkCore, source: Rows, now: float = 0.0, most: int = 10_000, size: int = 1
) -> list[Segment]:
    """Send all that may be sent to a bus that takes everything at once."""
    found: list[Segment] = []
    while len(found) < most and (segment := core.next(source, now)) is not None:
        core.sent(segment, 1, now)
        core.taken(segment, now)
        found.append(segment)
    return found


def spans(segments: list[Segment]) -> list[tuple[int, int, int]]:
    return [(one.lane.epoch.counter, one.first, one.last) for one in segments]
