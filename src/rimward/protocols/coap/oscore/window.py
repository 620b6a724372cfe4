"""Which sequence numbers of a peer have come already [RFC 8613 §7.4]."""


class Window:
    """The last numbers of one peer. Before `begin` nothing is known, and nothing new can be told from old."""

    __slots__ = ("_bits", "_highest", "_size")

    def __init__(self, size: int = 32) -> None:
        self._size = size
        self._highest: int | None = None
        self._bits = 0  # of the numbers below the highest, the nearest first

    @property
    def known(self) -> bool:
        """Whether a replay could be told."""
        return self._highest is not None

    def begin(self, number: int) -> None:
        """Take a number that is known to be new as the first: everything below it is old [§B.1.2]."""
        self._highest, self._bits = number, (1 << self._size) - 1

    def fresh(self, number: int) -> bool:
        """Tell whether a number has not come yet; one that is too far back counts as come."""
        highest = self._highest
        if highest is None:
            return False
        if number > highest:
            return True
        back = highest - number
        return 0 < back < self._size and not self._bits >> back - 1 & 1

    def accept(self, number: int) -> None:
        """Note a fresh number, of a message that was genuine."""
        highest = self._highest
        assert highest is not None
        if number > highest:
            ahead = min(number - highest, self._size)
            self._bits = (self._bits << 1 | 1) << ahead - 1 & (1 << self._size) - 1
            self._highest = number
        else:
            self._bits |= 1 << highest - number - 1
