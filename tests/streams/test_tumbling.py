"""Every event is in exactly one window, or counted."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.streams import AggFold, ApplyFold, Closed, Tumbling
from rimward.streams.watermark import DAY

SIZE, LATENESS = 10, 5  # ns
TIMES = st.lists(st.integers(-1_000, 1_000), max_size=30)


def values_of(closed: list[Closed[list[int]]]) -> list[int]:
    return [value for window in closed for value in window.value or []]


def collecting(lateness: int = LATENESS, **options: int) -> Tumbling[list[int]]:
    return Tumbling(SIZE, lateness, ApplyFold(list[int]), **options)


def open_values(operator: Tumbling[list[int]]) -> list[int]:
    return values_of(operator.advance(1 << 62))


def through_msgpack(value: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))


@given(st.lists(st.tuples(st.integers(-1_000, 1_000), st.integers(0, 900)), max_size=30))
def test_every_event_is_in_exactly_one_window_or_counted_late_or_ahead(events: list[tuple[int, int]]) -> None:
    operator = collecting(max_ahead_ns=300)
    stored: list[int] = []
    for index, (time, received) in enumerate(events):
        counted = operator.late + operator.ahead
        stored += values_of(operator.insert(time, index, received))
        assert operator.late + operator.ahead - counted == (index not in {*stored, *held(operator)})
    stored += open_values(operator)
    assert len(stored) == len(set(stored)) == len(events) - operator.late - operator.ahead


def held(operator: Tumbling[list[int]]) -> list[int]:
    twin = collecting()
    twin.restore(operator.snapshot())
    return open_values(twin)


@given(TIMES)
def test_windows_are_aligned_to_the_epoch_and_hold_only_their_own_times(times: list[int]) -> None:
    operator = collecting()
    closed = [window for time in times for window in operator.insert(time, time)] + operator.advance(1 << 62)
    for window in closed:
        assert window.value is not None
        assert window.start % SIZE == 0
        assert window.end == window.start + SIZE
        assert all(window.start <= time < window.end for time in window.value)
        assert window.count == len(window.value) > 0
    assert len({window.start for window in closed}) == len(closed)


@given(TIMES)
def test_an_event_is_late_exactly_when_the_watermark_has_passed_its_windows_end(times: list[int]) -> None:
    operator = collecting()
    newest, late = None, 0
    for time in times:
        operator.insert(time, time)
        late += newest is not None and (time // SIZE + 1) * SIZE <= newest - LATENESS
        newest = time if newest is None else max(newest, time)
        assert operator.late == late


@given(st.lists(st.integers(0, 300), unique=True, min_size=1), st.data())
def test_the_order_of_events_within_the_lateness_changes_no_result(
    times: list[int], data: st.DataObject
) -> None:
    span = max(times) - min(times)
    fold = {"mean": ("t", "mean"), "first": ("t", "first"), "last": ("t", "last"), "n": ("t", "count")}

    def run(order: list[int]) -> list[Closed[dict[str, Any]]]:
        operator = Tumbling(SIZE, span, AggFold(fold))
        closed = [window for time in order for window in operator.insert(time, Value(time))]
        return closed + operator.advance(1 << 62)

    assert run(data.draw(st.permutations(times))) == run(sorted(times))


class Value(msgspec.Struct):
    t: int


@given(TIMES, st.integers(0, 30))
def test_a_snapshot_restored_at_any_point_changes_nothing(times: list[int], cut: int) -> None:
    whole, first, second = collecting(), collecting(), collecting()
    expected = [whole.insert(time, index) for index, time in enumerate(times)]
    actual = [first.insert(time, index) for index, time in enumerate(times[:cut])]
    second.restore(through_msgpack(first.snapshot()))
    actual += [second.insert(time, index + cut) for index, time in enumerate(times[cut:])]
    assert actual == expected
    assert second.snapshot() == whole.snapshot()
    assert (second.late, second.deadline(), second.watermark) == (
        whole.late,
        whole.deadline(),
        whole.watermark,
    )


@given(TIMES)
def test_at_the_deadline_the_oldest_window_closes_and_not_before(times: list[int]) -> None:
    operator = collecting()
    for time in times:
        operator.insert(time, time)
    while (deadline := operator.deadline()) is not None:
        assert operator.advance(deadline - 1) == []
        closed = operator.advance(deadline)
        assert [window.end for window in closed] == [deadline]
    assert open_values(operator) == []


@given(TIMES)
def test_no_more_windows_are_open_than_the_lateness_allows(times: list[int]) -> None:
    operator = collecting()
    for time in times:
        operator.insert(time, time)
        assert len(operator.snapshot()[2]) <= LATENESS // SIZE + 2


def test_windows_close_oldest_first() -> None:
    operator = collecting(lateness=50)
    for time in (31, 12, 5):
        operator.insert(time, time)
    assert [window.start for window in operator.insert(200, 200)] == [0, 10, 30]


def test_an_event_of_an_open_window_is_taken_even_behind_the_watermark() -> None:
    operator = collecting()
    operator.insert(14, 14)
    assert operator.watermark == 9
    assert operator.insert(1, 1) == []
    assert operator.late == 0
    assert operator.advance(10) == [Closed(0, 10, [1], 1)]


def test_a_lower_watermark_than_the_present_one_changes_nothing() -> None:
    operator = collecting()
    operator.insert(100, 100)
    operator.advance(40)
    assert operator.watermark == 95


def test_a_device_clock_in_2106_ends_no_waiting() -> None:
    operator = Tumbling(SIZE, LATENESS, ApplyFold(list[int]))
    now = 1_767_225_600_000_000_000  # 2026-01-01
    operator.insert(now, 1, now)
    assert operator.insert(4_294_967_295_000_000_000, 2, now) == []
    assert (operator.ahead, operator.late) == (1, 0)
    assert operator.insert(now + 1, 3, now + 1) == []
    assert open_values(operator) == [1, 3]


def test_an_event_too_far_ahead_is_refused_in_an_open_window_too() -> None:
    operator: Tumbling[list[int]] = Tumbling(10 * DAY, 0, ApplyFold(list[int]))
    operator.insert(0, 1, 0)
    operator.insert(2 * DAY, 2, 0)
    assert operator.ahead == 1
    assert open_values(operator) == [1]


def test_a_fold_that_raises_is_told_with_its_window_and_spares_the_others() -> None:
    def fussy(values: Any) -> int:
        if 1 in values:
            raise ValueError("one")
        return len(values)

    operator = Tumbling(SIZE, 0, ApplyFold(fussy))
    operator.insert(1, 1)
    closed = operator.insert(15, 15) + operator.insert(30, 30)
    assert [(window.start, window.value) for window in closed] == [(0, None), (10, 1)]
    assert isinstance(closed[0].error, ValueError)
    assert closed[1].error is None


def test_a_value_that_the_fold_can_not_take_changes_nothing() -> None:
    operator = Tumbling(SIZE, 0, AggFold({"mean": ("t", "mean"), "n": ("t", "count")}))
    operator.insert(1, Value(1))
    before = through_msgpack(operator.snapshot())
    with pytest.raises(TypeError, match="agg computes with numbers, got str"):
        operator.insert(99, Value("text"))  # pyright: ignore[reportArgumentType] (what a map can hand on)
    assert through_msgpack(operator.snapshot()) == before


@pytest.mark.parametrize(("size", "lateness"), [(0, 0), (-1, 0), (1, -1)])
def test_sizes_and_lateness_that_mean_nothing_are_refused(size: int, lateness: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Tumbling(size, lateness, ApplyFold(len))
