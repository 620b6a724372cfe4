"""Durations, times and trace identities."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.events import (
    Reject,
    TraceIds,
    format_traceparent,
    from_ns,
    parse_traceparent,
    seconds,
    to_ns,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5ms", 0.005), ("2s", 2.0), ("1m", 60.0), ("24h", 86400.0), ("7d", 604800.0), ("1.5s", 1.5)],
)
def test_durations_are_read_with_their_unit(text: str, value: float) -> None:
    assert seconds(text) == value
    assert seconds(timedelta(seconds=value)) == value


@pytest.mark.parametrize("text", ["5", "", "ms", "-1s", "0s", "1 s", "5µs", "1e3s", 5])
def test_a_duration_without_a_unit_or_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_come_back_to_the_microsecond(moment: datetime) -> None:
    assert from_ns(to_ns(moment)) == moment


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        to_ns(datetime(2026, 1, 1))  # noqa: DTZ001 (the case)


def test_trace_ids_are_unique_and_w3c() -> None:
    ids = TraceIds(b"12345678")
    made = [ids.next() for _ in range(100)]
    assert len(set(made)) == 100
    assert parse_traceparent(format_traceparent(made[0], "00f067aa0ba902b7")) == (made[0], "00f067aa0ba902b7")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
        "ff-" + "a" * 32 + "-00f067aa0ba902b7-01",
        "00-" + "A" * 32 + "-00f067aa0ba902b7-01",
        "00-" + "a" * 32 + "-00f067aa0ba902b7-01-more",
    ],
)
def test_a_malformed_traceparent_is_no_traceparent(text: str) -> None:
    assert parse_traceparent(text) is None


@given(st.text(max_size=80))
def test_any_text_may_come_as_a_traceparent(text: str) -> None:
    parse_traceparent(text)


def test_a_reject_has_one_of_five_codes() -> None:
    with pytest.raises(ValueError, match="it must be one of"):
        Reject("teapot", "")  # pyright: ignore[reportArgumentType] (the case)
