"""Cron lines, as cron(8) and crontab(5) of Debian read them: five fields, and what clock changes do to them.

A line names local times of a zone. Where a clock change skips one, it runs right after the change; where one
comes twice, it runs the first time. Lines whose minute or hour begins with `*` are steady beats instead: they
follow the clock, run in both hours of the same name, and not in one that is skipped. Where day and weekday
are both named, either is enough. Nothing here reads a clock or a file: the zone is handed in.
"""

import datetime as dt
from collections.abc import Iterator

from msgspec import Struct

from rimward.events import from_ns, to_ns

SPAN = dt.timedelta(hours=3)  # by which a clock change moves a zone's time at most
YEARS = 9  # in which any line comes: 29 February is 8 years away at most
_MINUTE = dt.timedelta(minutes=1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 7, _DAYS),  # 0 and 7 are Sunday
)
_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Line(Struct, frozen=True):
    """One parsed line."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]  # of the month
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Monday, as datetime counts
    either: bool  # a day that fits by one of day and weekday is enough
    steady: bool  # follows the clock through its changes

    def next_after(self, at: int, zone: dt.tzinfo) -> int:
        """Return the first time after `at` that the line names in a zone, both ns since the epoch."""
        moment = from_ns(at)
        found = self._steady(moment, zone) if self.steady else self._fixed(moment, zone)
        return to_ns(found)

    def newest(self, after: int, until: int, zone: dt.tzinfo) -> int | None:
        """Return the last time after one moment that is not after another, ns; None where there is none.

        What was missed runs once. Long ago is not walked through: it looks back from the end, further and
        further.
        """
        if self.next_after(after, zone) > until:
            return None
        back = 60_000_000_000
        while (start := max(after, until - back)) > after and self.next_after(start, zone) > until:
            back *= 4
        newest = self.next_after(start, zone)
        while (following := self.next_after(newest, zone)) <= until:
            newest = following
        return newest

    @property
    def a_day(self) -> float:
        """About how often it comes in a day."""
        dates = self._share(self.days, 30.4), self._share(self.weekdays, 7)
        share = 1 - (1 - dates[0]) * (1 - dates[1]) if self.either else dates[0] * dates[1]
        return len(self.minutes) * len(self.hours) * share * len(self.months) / 12

    @staticmethod
    def _share(days: frozenset[int], of: float) -> float:
        return min(1.0, len(days) / of)

    # -- local times

    def _fixed(self, moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
        for local in self._times(moment.astimezone(zone).replace(tzinfo=None)):
            found = local.replace(tzinfo=zone).astimezone(dt.UTC)
            if not _exists(local, zone, 0):
                found = _change(local, zone)
            if found > moment:
                return found
        raise never()

    def _steady(self, moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
        here = moment.astimezone(zone)
        local = here.replace(tzinfo=None)
        around = [(moment + way).astimezone(zone).utcoffset() for way in (SPAN, -SPAN)]
        changes = any(offset != here.utcoffset() for offset in around)
        found: dt.datetime | None = None
        for candidate in self._times(local - SPAN if changes else local):
            if found is not None and candidate > local + SPAN:
                break
            for fold in (0, 1):  # a local time that comes twice is two
                at = candidate.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC)
                if at > moment and (found is None or at < found) and _exists(candidate, zone, fold):
                    found = at
            if found is not None and not changes:
                break
        if found is None:
            raise never()
        return found

    def _times(self, after: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the local times after one, whatever the zone makes of them."""
        start = after.replace(second=0, microsecond=0) + _MINUTE
        for date in self._dates(start.date()):
            first = date == start.date()
            for hour in self.hours:
                if first and hour < start.hour:
                    continue
                for minute in self.minutes:
                    if not (first and hour == start.hour and minute < start.minute):
                        yield dt.datetime(date.year, date.month, date.day, hour, minute)  # noqa: DTZ001 (local; the zone comes later)

    def _dates(self, first: dt.date) -> Iterator[dt.date]:
        date, last = first, first.year + YEARS
        while date.year <= last:
            if date.month not in self.months:
                date = (date.replace(day=1) + dt.timedelta(days=31)).replace(day=1)
                continue
            day, weekday = date.day in self.days, date.weekday() in self.weekdays
            if (day or weekday) if self.either else (day and weekday):
                yield date
            date += dt.timedelta(days=1)


def parse(text: str) -> Line:
    """Return what a line says.

    Raises:
        ValueError: it has not five fields, or one is not of its form, or it names a day that never comes.
    """
    words = _NAMES.get(text.strip().lower(), text).split()
    if len(words) != len(_FIELDS):
        raise ValueError(
            f"{text!r} has {len(words)} fields, not the five of minute, hour, day, month and weekday"
        )
    minutes, hours, days, months, weekdays = (
        _field(word.lower(), *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    line = Line(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        frozenset((day - 1) % 7 for day in weekdays),
        either=not words[2].startswith("*") and not words[4].startswith("*"),
        steady=words[0].startswith("*") or words[1].startswith("*"),
    )
    if next(line._dates(dt.date(2000, 3, 1)), None) is None:
        raise ValueError(f"{text!r} names a day that never comes")
    return line


def never() -> ValueError:
    """Return the error of a line that names no time; `parse` lets none of them through."""
    return ValueError("the line names no time")


def _field(text: str, name: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            start, end = low, high if name != "weekday" else 6
        elif dash:
            start, end = _number(first, part, name, low, names), _number(last, part, name, low, names)
        else:
            start = end = _number(first, part, name, low, names)
        if slash and not dash and span != "*":
            raise ValueError(f"{part!r}: a step goes with a range: {span}-{high}/{step}")
        if not low <= start <= end <= high:
            raise ValueError(f"{part!r}: the {name} is {low} to {high}, the lower one first")
        if slash and not (step.isdecimal() and step.isascii() and int(step) > 0):
            raise ValueError(f"{part!r}: a step is a whole number over 0")
        found.update(range(start, end + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, part: str, name: str, low: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + low
    if not (text.isdecimal() and text.isascii() and len(text) <= 2):
        raise ValueError(f"{part!r} is no {name}")
    return int(text)


def _exists(local: dt.datetime, zone: dt.tzinfo, fold: int) -> bool:
    """Tell whether a zone has a local time: for fold 1, whether it has it twice."""
    there = local.replace(tzinfo=zone, fold=fold)
    back = there.astimezone(dt.UTC).astimezone(zone)
    return back.replace(tzinfo=None, fold=0) == local and back.fold == fold


def _change(local: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return the moment of the clock change that skips a local time."""
    low = local.replace(tzinfo=zone, fold=1).astimezone(dt.UTC)  # by the offset after: too early
    high = local.replace(tzinfo=zone).astimezone(dt.UTC)  # by the offset before: too late
    before = low.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
