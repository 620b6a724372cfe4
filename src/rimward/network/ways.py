"""Ways to a hub, in order of preference, and how long to wait before the next try."""

from collections.abc import Callable, Sequence

RETRY = 0.2  # seconds before the second try; doubled with each
RETRY_MOST = 1.5  # a bus that comes back is found within this
BUSY_MOST = 15.0  # where buses answer and get nothing through: everybody else tries as well
FORBIDDEN = 30.0  # where a bus refuses this node's rights or credentials: people have to change something


class Ways:
    """Which address is next, and when; `chance`, from 0 to 1, keeps nodes from coming at once."""

    def __init__(self, urls: Sequence[str], chance: Callable[[], float]) -> None:
        self.urls: tuple[str, ...] = tuple(urls)
        self.rank: int = 0  # of the way in use; 0 is the best
        self._chance = chance
        self._pause = RETRY
        self._failed = 0  # addresses one after the other that did not answer

    @property
    def url(self) -> str:
        """The address to try."""
        return self.urls[self.rank]

    def unreachable(self) -> float:
        """Note that the address did not answer; return the seconds to wait before the next one."""
        self._failed += 1
        self.rank = (self.rank + 1) % len(self.urls)
        if self._failed % len(self.urls):
            return 0.0
        return self._wait(RETRY_MOST)

    def broke(self) -> float:
        """Note that a connection ended; return the seconds to wait before the best address is tried."""
        self.rank, self._failed = 0, 0
        return self._wait(BUSY_MOST)

    def forbidden(self) -> float:
        """Note that the bus refuses this node; return the seconds to wait."""
        self.rank, self._failed = (self.rank + 1) % len(self.urls), 0
        return self._spread(FORBIDDEN)

    def works(self) -> None:
        """Note that an envelope or a greeting got through: the next break is tried again at once."""
        self._pause, self._failed = RETRY, 0

    def _wait(self, most: float) -> float:
        wait = min(self._pause, most)
        self._pause = min(2 * self._pause, BUSY_MOST)
        return self._spread(wait)

    def _spread(self, seconds: float) -> float:
        return seconds * (0.5 + self._chance() / 2)
