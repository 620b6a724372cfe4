"""What waits in the outbox for the lake, how fast it goes, and how long that takes. No clock of its own."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from rimward.wire import Tally

LOOKS = 10  # looks back over which rates are taken


class Backlog:
    """Looked at about once a second."""

    def __init__(self) -> None:
        self._waiting: Mapping[str, int] = {}
        self._looks: deque[tuple[float, int, int]] = deque(maxlen=LOOKS + 1)  # seconds, waiting, stored

    def look(self, tallies: Iterable[Tally], stored: int, now: float) -> None:
        """Note what waits; `stored` are the rows that reached the lake since this process began."""
        self._waiting = {tally.lane: tally.waiting for tally in tallies if tally.waiting}
        if self._looks and stored < self._looks[-1][2]:  # the outbox is another one
            self._looks.clear()
        self._looks.append((now, sum(self._waiting.values()), stored))

    def state(self) -> dict[str, Any]:
        """Return it for people: rows, rows a second into the lake, seconds to go; None: it does not end."""
        rows = sum(self._waiting.values())
        rate, net = self._rates()
        left = 0.0 if not rows else round(rows / net, 1) if net > 0 else None
        return {"rows": rows, "lanes": self._waiting, "stored_per_s": round(rate), "left_s": left}

    def _rates(self) -> tuple[float, float]:
        """Return the rows a second that are stored, and by which what waits becomes less."""
        if len(self._looks) < 2:
            return 0.0, 0.0
        (begin, waited, had), (now, waiting, stored) = self._looks[0], self._looks[-1]
        seconds = max(now - begin, 1e-3)
        return (stored - had) / seconds, (waited - waiting) / seconds
