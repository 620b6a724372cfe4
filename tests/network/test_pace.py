"""Rates, their hours, and the bucket that keeps them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.network.config import Period, UplinkConfig
from rimward.network.pace import BURST, Allowance, Bucket, Schedule, parse_rate, parse_time


@pytest.mark.parametrize(
    ("text", "rate"),
    [("64kbit/s", 8000), ("2Mbit/s", 250_000), ("100kB/s", 100_000), ("0bit/s", 0), ("1.5kbit/s", 187.5)],
)
def test_a_rate_is_bytes_a_second(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


def test_no_rate_is_no_cap() -> None:
    assert parse_rate("") is None


@pytest.mark.parametrize("text", ["64", "64kbps", "-1bit/s", "64 kbit", "64KBIT/s", "٦٤kbit/s"])
def test_what_is_no_rate_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="must be like 64kbit/s") as error:
        parse_rate(text)
    assert text in str(error.value)


@pytest.mark.parametrize("text", ["24:00", "6:00", "06:60", "noon"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be like 06:30"):
        parse_time(text)


def test_a_period_takes_the_place_of_the_usual_rate_over_midnight_too() -> None:
    night = Period("22:00", "06:00", "2Mbit/s")
    noon = Period("12:00", "13:00", metered=True)
    schedule = Schedule(UplinkConfig(rate="64kbit/s", schedule=(night, noon)))
    usual, fast, dear = Allowance(8000.0), Allowance(250_000.0), Allowance(None, metered=True)
    times = ("21:59", "22:00", "00:00", "05:59", "06:00", "11:59", "12:00", "12:59", "13:00")
    found = [schedule.at(parse_time(text)) for text in times]
    assert found == [usual, fast, fast, fast, usual, usual, dear, dear, usual]


def test_a_period_from_a_time_to_itself_is_the_whole_day() -> None:
    schedule = Schedule(UplinkConfig(schedule=(Period("08:00", "08:00", "64kbit/s"),)))
    assert {schedule.at(minute) for minute in range(24 * 60)} == {Allowance(8000.0)}


@given(
    rate=st.floats(100, 1e7),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 70_000)), min_size=1, max_size=60),
)
def test_in_no_stretch_of_time_goes_more_than_the_rate_and_one_envelope(
    rate: float, steps: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(), 0.0
    bucket.allow(rate, now)
    went: list[tuple[float, int]] = []
    for pause, size in steps:
        now += pause
        if bucket.wait(now) == 0.0:
            bucket.take(size, now)
            went.append((now, size))
    for first, (begin, _) in enumerate(went):
        total = 0
        for end, size in went[first:]:
            before, total = total, total + size
            assert before <= rate * (end - begin) + max(1.0, BURST * rate) + 1e-3


@given(rate=st.floats(100, 1e7), size=st.integers(1, 70_000))
def test_the_wait_that_it_names_is_enough(rate: float, size: int) -> None:
    bucket = Bucket()
    bucket.allow(rate, 0)
    bucket.take(size, 0)
    assert bucket.wait(bucket.wait(0) + 1e-6) == 0.0


def test_a_clock_that_stands_or_runs_back_gives_nothing() -> None:
    bucket = Bucket()
    bucket.allow(1000.0, 100)
    bucket.take(5000, 100)
    assert bucket.wait(100) > 4
    assert bucket.wait(50) > 4


def test_without_a_cap_nothing_waits_and_at_zero_everything_does() -> None:
    bucket = Bucket()
    bucket.take(10**9, 0)
    assert bucket.wait(0) == 0.0
    bucket.allow(0.0, 0)
    assert bucket.wait(0) == float("inf")
