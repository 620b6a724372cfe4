"""A cloud function at its times, once a region: what was missed runs once.

A time is an event like a row: its call commits with the position, is tried again, and ends as a dead letter.
While one is tried again no other is begun; what comes due meanwhile runs once, after it.
"""

from collections.abc import Callable

from rimward.app.functions import ScheduledFunction
from rimward.app.triggers import Every
from rimward.cloud.functions.calling import Ground
from rimward.cloud.functions.changes import Row
from rimward.cloud.functions.journal import Offset
from rimward.cloud.functions.working import Tempo, Working
from rimward.events import from_ns
from rimward.wire import HUB

AHEAD = 3 * 3_600_000_000_000  # ns by which the last time may be ahead of a clock that was set back


class Scheduled(Working):
    """One function and the last of its times that ran, kept where others keep their offset."""

    def __init__(
        self,
        function: ScheduledFunction,
        ground: Ground,
        tempo: Tempo,
        on_error: Callable[[Exception], None] | None,
    ) -> None:
        super().__init__(function, ground, tempo, on_error)
        self._schedule = function.schedule

    def next_at(self) -> int:
        """Return when something is to be done, wall ns: its next time, or to begin."""
        last, schedule = self._offset, self._schedule
        if last is None or last.table != str(schedule):
            return 0
        if isinstance(schedule, Every):
            return last.version + _period(schedule)
        return schedule.line.next_after(last.version, schedule.zone)

    @property
    def waits(self) -> bool:
        """Whether one of its times is to be tried again first."""
        return any(self._waiting.values())

    def _advance(self) -> None:
        now, line, last = self._tempo.now(), str(self._schedule), self._offset
        if last is None or last.table != line or last.version > now + AHEAD:
            self._unit.after = Offset(line, now)  # another line begins anew, as the first does
            return
        at = None if self.waits else self._missed(last.version, now)
        if at is None:
            return
        row = self._row(at, now)
        if (error := self._call([row])) is not None:
            self._fail(HUB, [row], error)
        self._unit.after = Offset(line, at)

    def _missed(self, last: int, now: int) -> int | None:
        """Return the newest time that has come and has not run."""
        schedule = self._schedule
        if isinstance(schedule, Every):
            count = (now - last) // _period(schedule)
            return last + count * _period(schedule) if count > 0 else None
        return schedule.line.newest(last, now, schedule.zone)

    def _row(self, at: int, now: int) -> Row:
        """Return a time as an event: its number is its time, ms."""
        return {
            "_node": HUB, "_site": HUB, "_lane": self.name, "_epoch": 0, "_seq": at // 1_000_000,
            "_time": from_ns(at), "_received_at": from_ns(now), "_trace": None,
        }  # fmt: skip


def _period(schedule: Every) -> int:
    return round(schedule.period * 1e9)
