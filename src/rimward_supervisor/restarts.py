"""When a process that died is started again. Pure: the clock is an argument."""

FIRST = 0.1  # seconds before the second restart in a row; the first is immediate
LONGEST = 5.0  # seconds
STEADY = 2.0  # seconds of life after which a death is not "in a row"
LOOP_DEATHS = 5  # this many deaths ...
LOOP_WINDOW = 60.0  # ... within these seconds are a crash loop


class Restarts:
    """The deaths of one process."""

    def __init__(self) -> None:
        self.count = 0  # restarts since the supervisor started
        self._in_a_row = 0
        self._deaths: list[float] = []

    def died(self, now: float, lived: float) -> float:
        """Take note of a death; return the seconds to wait before the next start."""
        self._in_a_row = 0 if lived >= STEADY else self._in_a_row
        delay = 0.0 if self._in_a_row == 0 else min(LONGEST, FIRST * 2 ** (self._in_a_row - 1))
        self._in_a_row += 1
        recent = [at for at in self._deaths if at > now - LOOP_WINDOW]
        self._deaths = [*recent[1 - LOOP_DEATHS :], now]
        return delay

    @property
    def looping(self) -> bool:
        """Whether it dies again and again."""
        return len(self._deaths) >= LOOP_DEATHS
