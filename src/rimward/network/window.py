"""How much may be on its way without an answer: as much as the link carries, and little more.

What is given to a slow link beyond that lies in buffers, where nothing urgent can overtake it and a PING
waits behind it. So the window follows the delay (as LEDBAT does, RFC 6817, with a base that may rise): it
grows while answers come about as fast as they can, and shrinks once they wait for each other.
"""

FIRST = 32 << 10  # bytes at the beginning
LEAST = 2  # envelopes that may always fly: one on its way there, one on its way back
QUEUE = 0.1  # seconds that answers may wait for each other; at least the round trip itself
SHRINK, SHRINK_MOST = 0.7, 0.25  # to this share of itself, once for each answer's time


class Window:
    """Envelopes that the bus has not answered."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self.reset()

    def reset(self) -> None:
        """Begin anew: a connection is new, and nothing flies on it."""
        self.flying: int = 0
        self.bytes: int = 0
        self.size: float = min(FIRST, self._most_bytes)
        self.base: float | None = None  # seconds, of an answer that waits for no other
        self._rising = True  # twice as much with each round trip, until an answer had to wait
        self._shrunk_at = 0.0

    def room(self) -> bool:
        """Tell whether another envelope may go."""
        if self.flying < LEAST:
            return self.flying < self._most
        return self.flying < self._most and self.bytes < self.size

    def sent(self, size: int) -> int:
        """Note an envelope; return how many fly now."""
        self.flying += 1
        self.bytes += size
        return self.flying

    def refused(self, size: int) -> None:
        """Note an answer that tells nothing of the link."""
        self.flying -= 1
        self.bytes -= size

    def taken(self, size: int, flew: int, latency: float, now: float) -> None:
        """Note an answer to an envelope: how many flew once it was sent, and how long the answer took."""
        self.refused(size)
        if self.base is None or latency < self.base:
            self.base = latency
        elif flew <= LEAST:  # no queue of our own is in this: the way itself has become longer
            self.base += (latency - self.base) / 8
        fair = self.base + max(QUEUE, self.base)
        if latency > fair:
            self._rising = False
            if now - self._shrunk_at > latency:
                share = min(SHRINK, max(SHRINK_MOST, fair / latency))
                self.size, self._shrunk_at = max(self.size * share, 1.0), now
        elif self.bytes + size >= self.size / 2:  # it was in use
            grown = size if self._rising else size * size / self.size
            self.size = min(self.size + grown, self._most_bytes)
