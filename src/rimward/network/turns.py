"""Whose turn it is: critical lanes first, and a share of the bytes for the others."""

SHARING = ("bulk", "normal")
USUAL = ("critical", "normal", "bulk")


class Turns:
    """Counts the bytes that each class has had of what its share is.

    A class gathers credit only while it waits, so it gets its share of what is there from then on.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._credit: dict[str, float] = dict.fromkeys(SHARING, 0.0)
        self._waiting: frozenset[str] = frozenset()
        self._owed: list[str] = []

    def order(self, waiting: frozenset[str]) -> list[str]:
        """Return the classes that wait, first the one whose turn it is."""
        self._waiting = waiting
        for name in SHARING:
            if name not in waiting:
                self._credit[name] = 0.0
        self._owed = [name for name in SHARING if self._credit[name] > 0]
        self._owed.sort(key=lambda name: -self._credit[name])
        return [*self._owed, *(name for name in USUAL if name in waiting and name not in self._owed)]

    def had(self, name: str, size: int) -> None:
        """Note that a class sent bytes."""
        if len(self._waiting) < 2:
            return
        for one in SHARING:
            if one in self._waiting:
                self._credit[one] += self._share * size
        if name in self._owed:
            self._credit[name] -= size
