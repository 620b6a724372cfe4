"""The emulator's core: when each packet arrives, or why it doesn't. No I/O and no clock of its own.

Every packet draws the same count of random numbers whatever the link does to it, so that a seed means the
same packets after a change as well.
"""

import heapq
import random
from collections import Counter

from msgspec import Struct

from rimward.lab.emulator.impairment import Direction

HELD = 65_536  # packets on their way in one direction; more are dropped, as "held"


class _Packet(Struct, order=True, frozen=True):
    due: float  # seconds
    number: int  # of equal times the earlier goes first
    data: bytes


class Wire:
    """One direction of a link."""

    def __init__(self, direction: Direction, seed: str) -> None:
        direction.check()
        self._direction = direction
        self._random = random.Random(seed)  # noqa: S311 -- repeatable on purpose
        self._heap: list[_Packet] = []
        self._free = 0.0  # when the last packet that waits for the rate will have gone
        self._last = 0.0  # when the last packet that kept its place arrives
        self._bad = False  # packets are being lost in a row
        self._number = 0
        self.counters: Counter[str] = Counter()

    def change(self, direction: Direction) -> None:
        """Make it another link from now on; packets on their way keep their time, unless it is cut."""
        direction.check()
        self._direction = direction
        if not direction.up:
            self.counters["cut"] += len(self._heap)
            self._heap.clear()
            self._free = self._last = 0.0

    def enter(self, data: bytes, now: float) -> None:
        """Take a packet at a time in seconds."""
        lost, jitter, skips, twice = (self._random.random() for _ in range(4))
        self.counters["entered"] += 1
        link = self._direction
        why = self._dropped(data, now, lost)
        if why is not None:
            self.counters[why] += 1
            return
        gone = now
        if link.rate is not None:
            gone = self._free = max(self._free, now) + len(data) * 8 / link.rate
        if skips < link.reorder:
            self.counters["reordered"] += 1
            due = gone
        else:
            due = self._last = max(gone + link.delay + jitter * link.jitter, self._last)
        self._push(due, data)
        if twice < link.duplicate:
            self.counters["duplicated"] += 1
            self._push(due, data)

    def due(self, now: float) -> list[bytes]:
        """Return the packets that arrive until now, in their order."""
        found: list[bytes] = []
        while self._heap and self._heap[0].due <= now:
            found.append(heapq.heappop(self._heap).data)
        self.counters["passed"] += len(found)
        return found

    def deadline(self) -> float | None:
        """Return when the next packet arrives; None: none is on its way."""
        return self._heap[0].due if self._heap else None

    def _dropped(self, data: bytes, now: float, lost: float) -> str | None:
        """Return why a packet does not get through."""
        link = self._direction
        if not link.up:
            return "down"
        if self._loses(lost):
            return "lost"
        if link.rate is not None and (self._free - now) * link.rate / 8 + len(data) > link.queue:
            return "full"
        return "held" if len(self._heap) >= HELD else None

    def _loses(self, chance: float) -> bool:
        """Tell whether a packet is lost: by itself, or in bursts as Gilbert's model has them."""
        link = self._direction
        if link.burst <= 1.0 or link.loss in (0.0, 1.0):
            return chance < link.loss
        leave, enter = 1 / link.burst, min(1.0, link.loss / (link.burst * (1 - link.loss)))
        self._bad: bool = chance >= leave if self._bad else chance < enter
        return self._bad

    def _push(self, due: float, data: bytes) -> None:
        self._number += 1
        heapq.heappush(self._heap, _Packet(due, self._number, data))
