"""How far event time has come: a watermark follows the newest event at a fixed distance."""

from typing import Any

DAY = 86_400_000_000_000  # ns
BEGINNING = -(1 << 63)  # ns since the epoch; before every event


class Watermark:
    """The time before which no event is waited for any more; it never goes back.

    A device whose clock says 2106 must not end all waiting for good: an event more than `max_ahead_ns` after
    the moment it was received is refused and counted as ahead.
    """

    __slots__ = ("_lateness", "_max_ahead", "ahead", "value")

    def __init__(self, lateness_ns: int, max_ahead_ns: int = DAY) -> None:
        if lateness_ns < 0 or max_ahead_ns < 0:
            raise ValueError(f"watermark: lateness {lateness_ns}, max_ahead {max_ahead_ns}: must be >= 0 ns")
        self._lateness = lateness_ns
        self._max_ahead = max_ahead_ns
        self.ahead: int = 0  # events refused
        self.value: int = BEGINNING  # ns since the epoch

    def refuses(self, time_ns: int, received_ns: int) -> bool:
        """Return whether, and count that, an event's time is too far after its receiving to be believed."""
        if time_ns - received_ns <= self._max_ahead:
            return False
        self.ahead += 1
        return True

    def observe(self, time_ns: int) -> None:
        """Follow an event's time."""
        value = time_ns - self._lateness
        if value > self.value:  # noqa: PLR1730 (max() costs a call per event)
            self.value = value

    def advance(self, watermark_ns: int) -> None:
        """Move on without an event; a lower value than the present one changes nothing."""
        self.value = max(self.value, watermark_ns)

    def snapshot(self) -> list[int]:
        """Return the state as builtins."""
        return [self.value, self.ahead]

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state."""
        self.value, self.ahead = snapshot
