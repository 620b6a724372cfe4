"""Cron lines by Debian's rules, clock changes above all."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimward.app.cron import Line, parse
from rimward.events import from_ns, to_ns

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: forward on 29 March at 02:00, back on 25 October at 03:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # half an hour forward on 4 October 2026 at 02:00
MINUTE = dt.timedelta(minutes=1)


def times(line: str, start: str, count: int, zone: dt.tzinfo = BERLIN) -> list[str]:
    """Return the next times of a line after a local one, with their offsets."""
    found: list[str] = []
    at = to_ns(dt.datetime.fromisoformat(start).replace(tzinfo=zone))
    for _ in range(count):
        at = parse(line).next_after(at, zone)
        found.append(from_ns(at).astimezone(zone).strftime("%d %H:%M %z"))
    return found


@pytest.mark.parametrize(
    ("line", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:30 +0200"]),  # skipped: right after
        ("0,15,45 2 * * *", "2026-03-28T12:00", ["29 03:00 +0200", "30 02:00 +0200"]),  # all of them, once
        ("30 2 * * *", "2026-10-24T12:00", ["25 02:30 +0200", "26 02:30 +0100"]),  # twice: the first time
        ("30 2,3 * * *", "2026-10-25T02:40", ["25 03:30 +0100", "26 02:30 +0100"]),
        ("*/30 * * * *", "2026-10-25T02:10", ["25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100"]),
        ("*/30 * * * *", "2026-03-29T01:10", ["29 01:30 +0100", "29 03:00 +0200"]),
        ("10 * * * *", "2026-10-25T01:10", ["25 02:10 +0200", "25 02:10 +0100", "25 03:10 +0100"]),
        ("*/20 2 * * *", "2026-03-28T12:00", ["30 02:00 +0200"]),  # steady: a day without that hour has none
    ],
)
def test_what_a_clock_change_does_to_a_line(line: str, start: str, expected: list[str]) -> None:
    assert times(line, start, len(expected)) == expected


def test_a_change_of_half_an_hour_runs_what_it_skips_at_its_own_moment() -> None:
    assert times("15 2 * * *", "2026-10-03T12:00", 2, LORD_HOWE) == ["04 02:30 +1100", "05 02:15 +1100"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 9 1 * mon", ["01 09:00", "05 09:00", "12 09:00"]),  # either is enough
        ("0 9 */2 * mon", ["05 09:00", "19 09:00", "09 09:00"]),  # a star: both
        ("0 0 29 feb *", ["29 00:00", "29 00:00", "29 00:00"]),
        ("59 23 31 12 *", ["31 23:59", "31 23:59", "31 23:59"]),
        ("0 8-10/2 * * sun,7", ["04 08:00", "04 10:00", "11 08:00"]),
        ("@weekly", ["04 00:00", "11 00:00", "18 00:00"]),
        ("@hourly", ["01 01:00", "01 02:00", "01 03:00"]),
    ],
)
def test_fields_mean_what_crontab_says(line: str, expected: list[str]) -> None:
    found = times(line, "2026-01-01T00:00" if line != "0 9 1 * mon" else "2025-12-31T12:00", 3, dt.UTC)
    assert [one.removesuffix(" +0000") for one in found] == expected


NO_LINES = ["", "* * * *", "60 * * * *", "* 5-2 * * *", "5/15 * * * *", "*/0 * * * *", "0 0 30 2 *"]


@pytest.mark.parametrize("line", [*NO_LINES, "x * * * *", "* * * * moo", "- * * * *", "1- * * * *"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has words of its own; refusals.md has them)
        parse(line)


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "30", "*/20", "5-10", "0,59"]),
    st.sampled_from(["*", "2", "*/6", "1-3", "0,23"]),
    st.sampled_from(["*", "1", "29", "*/10"]),
    st.sampled_from(["*", "3", "10", "mar,oct"]),
    st.sampled_from(["*", "0", "1-5", "sun"]),
).map(" ".join)
MOMENTS = st.sampled_from(["2026-03-28T20:00", "2026-10-24T20:00", "2026-02-27T23:30", "2026-07-01T11:11"])


@given(FIELDS, MOMENTS, st.integers(0, 600))
@settings(max_examples=25)
def test_a_line_runs_when_a_walk_through_every_minute_says_so(line: str, start: str, offset: int) -> None:
    parsed = parse(line)
    begin = dt.datetime.fromisoformat(start).replace(tzinfo=BERLIN).astimezone(dt.UTC) + offset * MINUTE
    expected = [moment for number in range(1, 1500) if _runs(line, parsed, moment := begin + number * MINUTE)]
    found = parsed.next_after(to_ns(begin), BERLIN)
    if expected:
        assert from_ns(found) == expected[0]
    else:
        assert from_ns(found) > begin + 1499 * MINUTE
    newest = parsed.newest(to_ns(begin), to_ns(begin + 1499 * MINUTE), BERLIN)
    assert newest == (to_ns(expected[-1]) if expected else None)


def _runs(line: str, parsed: Line, moment: dt.datetime) -> bool:
    """Tell whether a line runs in a minute, as cron(8) describes it, minute by minute."""
    local, words = moment.astimezone(BERLIN), line.split()
    if words[0].startswith("*") or words[1].startswith("*"):
        return _fits(line, parsed, local.replace(tzinfo=None))
    before = (moment - MINUTE).astimezone(BERLIN)
    jumped = local.replace(tzinfo=None) - before.replace(tzinfo=None)
    if jumped > MINUTE:  # forward: what was skipped runs now
        names = [before.replace(tzinfo=None) + number * MINUTE for number in range(1, jumped // MINUTE + 1)]
        return any(_fits(line, parsed, name) for name in names)
    return local.fold == 0 and _fits(line, parsed, local.replace(tzinfo=None))


def _fits(line: str, parsed: Line, local: dt.datetime) -> bool:
    words = line.split()
    day, weekday = local.day in parsed.days, local.weekday() in parsed.weekdays
    starred = words[2].startswith("*") or words[4].startswith("*")
    return (
        local.minute in parsed.minutes
        and local.hour in parsed.hours
        and local.month in parsed.months
        and ((day and weekday) if starred else (day or weekday))
    )
