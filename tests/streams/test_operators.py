"""Each operator against a naive reference: in any order, cut by a snapshot anywhere."""

import itertools
import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.streams.driving import END, Event, Make, drive, line, one

from rimward.app.steps import Fence, Scored
from rimward.events import from_ns
from rimward.streams import (
    AggFold,
    ApplyFold,
    Aside,
    AsOf,
    Counting,
    Fences,
    Followed,
    Joined,
    LastFold,
    Line,
    Near,
    NotFollowed,
    Polygon,
    Polygons,
    Sessions,
    Sliding,
    Tumbling,
    Windowed,
    WindowFull,
    getter,
)
from rimward.streams.holding import MAX_HELD
from rimward.streams.operators import Change, Deadband, Debounce, Dedupe, Ewma, Hampel, Ordered, Throttle
from rimward.streams.sifting import MAX_SEEN, SeenFull
from rimward.streams.values import PLAIN

VALUE = getter(None)
EVENTS = st.lists(st.tuples(st.integers(0, 120), st.integers(-9, 9)), max_size=20)
SIDED = st.lists(st.tuples(st.integers(0, 1), st.tuples(st.integers(0, 120), st.integers())), max_size=20)
SPAN = 200  # ns; longer than all of the events
SQUARE = Polygon([[(-3.5, -1), (3.5, -1), (3.5, 1), (-3.5, 1)]])


def same(value: Any) -> Any:
    return value


def pair(of: Any, *arguments: Any) -> Make:
    """Return two lines that meet."""

    def make(aside: Aside) -> Joined:
        made = of(*arguments, aside, (PLAIN, PLAIN))
        return Joined(Line([], aside, 0), Line([], aside, 1), made, Line([], aside), aside)

    return make


def windowed(windows: Any, lateness: int, *, numbered: bool = False) -> Make:
    return line(lambda aside: Windowed(windows(), lateness, aside, same, numbered=numbered))


def both(left: Any, right: Any) -> Any:
    return [left, right]


MAKES: dict[str, Make] = {
    "deadband": line(lambda _: Deadband(VALUE, 3)),
    "change": line(lambda _: Change(VALUE)),
    "throttle": line(lambda _: Throttle(10)),
    "dedupe": line(lambda _: Dedupe(VALUE, 20)),
    "debounce": line(lambda aside: Debounce(10, aside)),
    "ordered": line(lambda aside: Ordered(15, aside)),
    "ewma": line(lambda _: Ewma(VALUE, 0.2, 3)),
    "hampel": line(lambda _: Hampel(VALUE, 5)),
    "sample": windowed(lambda: Tumbling(10, 5, LastFold()), 5),
    "tumbling": windowed(lambda: Tumbling(10, 5, ApplyFold(list[int])), 5),
    "sliding": windowed(lambda: Sliding(30, 20, 5, ApplyFold(list[int])), 5),
    "session": windowed(lambda: Sessions(8, 15, ApplyFold(list[int])), 15),
    "count": windowed(lambda: Counting(6, 2, ApplyFold(list[int])), 0, numbered=True),
    "geofence": line(lambda aside: Fences(Polygons({"a": SQUARE}), VALUE, lambda _: 0.5, 12, aside)),
    "join": pair(Near, 10, 5, both),
    "asof": pair(AsOf, 30, 15, both),
    "followed_by": pair(Followed, 20, 15, both),
    "not_followed_by": pair(NotFollowed, 20, 15),
}


@pytest.mark.parametrize("name", MAKES)
@given(SIDED, st.integers(0, 20))
def test_a_snapshot_taken_anywhere_changes_nothing(
    name: str, events: list[tuple[int, Event]], cut: int
) -> None:
    if name not in {"join", "asof", "followed_by", "not_followed_by"}:
        events = one([event for _, event in events])
    assert drive(MAKES[name], events, cut=cut) == drive(MAKES[name], events)


@given(EVENTS)
def test_deadband_passes_what_is_far_enough_from_the_last_that_passed(events: list[Event]) -> None:
    expected: list[Event] = []
    for event in events:
        if not expected or abs(event[1] - expected[-1][1]) >= 3:
            expected.append(event)
    assert drive(MAKES["deadband"], one(events))[0] == expected


@given(EVENTS)
def test_change_passes_what_differs_from_the_one_before(events: list[Event]) -> None:
    expected = [event for index, event in enumerate(events) if index == 0 or events[index - 1][1] != event[1]]
    assert drive(MAKES["change"], one(events))[0] == expected


@given(EVENTS)
def test_throttle_passes_one_a_period(events: list[Event]) -> None:
    expected: list[Event] = []
    for event in events:
        if not expected or event[0] - expected[-1][0] >= 10:
            expected.append(event)
    assert drive(MAKES["throttle"], one(events))[0] == expected


@given(EVENTS)
def test_dedupe_of_events_in_order_passes_each_value_once_within_its_time(events: list[Event]) -> None:
    events, expected, passed = sorted(events), list[Event](), dict[int, int]()
    for time, value in events:
        if value not in passed or time - passed[value] >= 20:
            passed[value] = time
            expected.append((time, value))
    assert drive(MAKES["dedupe"], one(events))[0] == expected


@given(EVENTS)
def test_debounce_passes_what_nothing_follows_for_long_enough(events: list[Event]) -> None:
    out, late = drive(MAKES["debounce"], one(events))
    newest = -1
    taken: list[Event] = []
    for event in events:  # what is older than the held one is late
        if event[0] < newest:
            continue
        newest = event[0]
        taken.append(event)
    expected = [
        event for event, (after, _) in itertools.pairwise([*taken, (END, 0)]) if after - event[0] >= 10
    ]
    assert out == expected
    assert len(late) == len(events) - len(taken)


@given(EVENTS)
def test_ordered_gives_by_time_all_that_is_not_late(events: list[Event]) -> None:
    out, late = drive(MAKES["ordered"], one(events))
    assert [time for time, _ in out] == sorted(time for time, _ in out)
    assert sorted(out + late) == sorted(events)
    newest = -1
    for event in events:
        if event[0] >= newest - 15:
            assert event in out
        newest = max(newest, event[0])


@given(EVENTS)
def test_sliding_windows_hold_every_event_of_their_stretch(events: list[Event]) -> None:
    make = windowed(lambda: Sliding(30, 20, SPAN, ApplyFold(sorted)), SPAN)
    expected = [
        (start + 30, found)
        for start in range(-40, 140, 20)
        if (found := sorted(value for time, value in events if start <= time < start + 30))
    ]
    assert drive(make, one(events)) == (expected, [])


@given(EVENTS)
def test_sessions_are_the_runs_of_events_without_a_gap(events: list[Event]) -> None:
    make = windowed(lambda: Sessions(8, SPAN, ApplyFold(sorted)), SPAN)
    runs: list[list[Event]] = []
    for event in sorted(events):
        if not runs or event[0] - runs[-1][-1][0] >= 8:
            runs.append([])
        runs[-1].append(event)
    expected = [(run[-1][0] + 8, sorted(value for _, value in run)) for run in runs]
    assert drive(make, one(events)) == (expected, [])


@given(EVENTS)
def test_an_event_is_in_one_session_or_late(events: list[Event]) -> None:
    out, late = drive(MAKES["session"], one(events))
    assert sum(len(values) for _, values in out) + len(late) == len(events)


@given(EVENTS)
def test_count_windows_are_slices_of_what_came(events: list[Event]) -> None:
    values = [value for _, value in sorted(events)]
    out, _ = drive(MAKES["count"], one(sorted(events)))
    assert [found for _, found in out] == [
        values[end - 6 : end] for end in range(6, len(values) + 1) if end % 2 == 0
    ]


@given(EVENTS)
def test_a_sample_is_the_newest_of_its_stretch(events: list[Event]) -> None:
    make = windowed(lambda: Tumbling(10, SPAN, LastFold()), SPAN)
    last: dict[int, Event] = {}
    for time, value in events:
        if time >= last.get(time // 10, (-1, 0))[0]:
            last[time // 10] = (time, value)
    assert drive(make, one(events))[0] == [(index * 10 + 10, last[index][1]) for index in sorted(last)]


@given(SIDED)
def test_a_join_makes_every_pair_within_the_tolerance_once(events: list[tuple[int, Event]]) -> None:
    out, late = drive(pair(Near, 10, SPAN, both), events)
    left, right = ([event for source, event in events if source == side] for side in (0, 1))
    expected = [(max(a[0], b[0]), [a[1], b[1]]) for a in left for b in right if abs(a[0] - b[0]) <= 10]
    assert sorted(out) == sorted(expected)
    assert late == []


@given(SIDED, st.none() | st.integers(1, 40))
def test_asof_finds_the_newest_before(events: list[tuple[int, Event]], tolerance: int | None) -> None:
    out, late = drive(pair(AsOf, tolerance, SPAN, both), events)
    left, right = ([event for source, event in events if source == side] for side in (0, 1))
    expected: list[Event] = []
    for time, value in sorted(left, key=lambda event: event[0]):
        before = [b for b in sorted(right, key=lambda event: event[0]) if b[0] <= time]
        found = before[-1] if before and (tolerance is None or time - before[-1][0] <= tolerance) else None
        expected.append((time, [value, None if found is None else found[1]]))
    assert out == expected
    assert late == []


@given(SIDED)
def test_each_first_event_is_followed_by_the_next_second_one_or_by_none(
    events: list[tuple[int, Event]],
) -> None:
    followed, _ = drive(pair(Followed, 20, SPAN, both), events)
    alone, _ = drive(pair(NotFollowed, 20, SPAN), events)
    first = sorted((event for source, event in events if source == 0), key=lambda event: event[0])
    second = sorted((event for source, event in events if source == 1), key=lambda event: event[0])
    expected: list[Event] = []
    expected_alone: list[Event] = []
    for time, value in first:
        answer = next(((at, b) for at, b in second if time < at <= time + 20), None)
        if answer is None:
            expected_alone.append((time + 20, value))
        else:
            expected.append((answer[0], [value, answer[1]]))
    assert sorted(followed) == sorted(expected)
    assert sorted(alone) == sorted(expected_alone)


def test_what_one_stream_is_followed_by_may_be_of_the_same_stream() -> None:
    def make(aside: Aside) -> Joined:
        made = NotFollowed(10, 1, aside, (PLAIN, PLAIN))
        return Joined(Line([], aside), Line([], aside), made, Line([], aside), aside)

    out, _ = drive(make, one([(0, "a"), (5, "b"), (12, "c"), (40, "d")]))
    assert out == [(22, "c"), (50, "d")]


NUMBERS = st.lists(st.floats(-1e6, 1e6), max_size=20)


@given(NUMBERS)
def test_hampel_scores_by_medians_of_the_values_before(values: list[float]) -> None:
    out, _ = drive(MAKES["hampel"], one(list(enumerate(values))))
    for index, (_, scored) in enumerate(out):
        before = values[max(0, index - 5) : index]
        if len(before) < 2:
            assert scored == Scored(values[index], 0.0)
            continue
        middle = statistics.median(before)
        spread = 1.4826 * statistics.median(abs(value - middle) for value in before)
        distance = abs(values[index] - middle)
        assert scored.score == (distance / spread if spread else math.inf if distance else 0.0)


@given(NUMBERS)
def test_ewma_scores_by_weighted_mean_and_variance_of_the_values_before(values: list[float]) -> None:
    out, _ = drive(MAKES["ewma"], one(list(enumerate(values))))
    for index, (_, scored) in enumerate(out):
        before = values[:index]
        if index < 3:
            assert scored.score == 0.0
            continue
        weights = [0.8 ** (index - 1)] + [0.2 * 0.8 ** (index - 1 - n) for n in range(1, index)]
        mean = sum(w * v for w, v in zip(weights, before, strict=True))
        variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, before, strict=True))
        if variance > 1e-6 * max(map(abs, before), default=1) ** 2:
            expected = abs(values[index] - mean) / math.sqrt(variance)
            assert scored.score == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_a_spike_scores_high_and_its_neighbours_do_not() -> None:
    values = [20.0, 20.1, 19.9, 20.0, 20.2, 19.8, 20.1, 35.0, 20.0, 20.1]
    out, _ = drive(line(lambda _: Hampel(VALUE, 7)), one(list(enumerate(values))))
    assert [index for index, (_, scored) in enumerate(out) if scored.score > 5] == [7]


RINGS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=3, max_size=9, unique=True)


@given(RINGS, st.lists(st.tuples(st.integers(-1, 13), st.integers(-1, 13)), min_size=1, max_size=20))
def test_a_point_is_inside_where_a_ray_crosses_the_border_an_odd_number_of_times(
    ring: list[tuple[int, int]], points: list[tuple[int, int]]
) -> None:
    polygon = Polygon([[(float(x), float(y)) for x, y in ring]])
    for px, py in points:
        x, y = px + 0.37, py + 0.21
        crossed = 0
        for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (x2 - x1) * (y - y1) / (y2 - y1):
                crossed += 1
        assert polygon.contains(x, y) == (crossed % 2 == 1)


def test_a_hole_is_outside() -> None:
    outer = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0)]
    inner = [(3.0, 3.0), (7.0, 3.0), (7.0, 7.0), (3.0, 7.0)]
    polygon = Polygon([outer, inner])
    assert (polygon.contains(1, 1), polygon.contains(5, 5)) == (True, False)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), max_size=20))
def test_of_many_fences_all_are_found_that_a_point_is_in(points: list[tuple[float, float]]) -> None:
    fences = {
        f"{x},{y}": Polygon([[(x, y), (x + 1.5, y), (x + 1.5, y + 1.5), (x, y + 1.5)]])
        for x in range(-4, 4)
        for y in range(-4, 4)
    }
    many = Polygons(fences)
    for x, y in points:
        assert sorted(many.at(x, y)) == sorted(name for name, one in fences.items() if one.contains(x, y))


@given(EVENTS)
def test_a_fence_tells_of_entering_leaving_and_staying(events: list[Event]) -> None:
    out, late = drive(MAKES["geofence"], one(events))
    expected: list[tuple[int, str]] = []
    newest, entered, told = -1, None, False
    for time, value in [*events, (END, None)]:
        if time < newest:
            continue
        newest = time
        if entered is not None and not told and entered + 12 <= time:
            expected.append((entered + 12, "dwell"))
            told = True
        inside = value is not None and -3.5 <= value < 3.5
        if value is not None and inside != (entered is not None):
            entered, told = (time if inside else None), False
            expected.append((time, "enter" if inside else "exit"))
    assert [(time, fence.what) for time, fence in out] == expected
    assert all(fence == Fence("a", fence.what, from_ns(time)) for time, fence in out)
    assert len(late) == sum(
        time < max((t for t, _ in events[:index]), default=-1) for index, (time, _) in enumerate(events)
    )


def test_an_operator_holds_no_more_than_it_may() -> None:
    aside = Aside()
    ordered = Ordered(10, aside)
    for number in range(MAX_HELD):
        ordered.insert((number, 0, None))
    with pytest.raises(WindowFull):
        ordered.insert((0, 0, None))
    dedupe = Dedupe(VALUE, 10)
    for number in range(MAX_SEEN):
        dedupe.insert((0, number, None))
    with pytest.raises(SeenFull):
        dedupe.insert((0, -1, None))
    assert dedupe.insert((11, -1, None)), "what is older than its time makes room"


def test_a_state_that_no_operator_can_take_is_told_and_spares_the_others() -> None:
    aside = Aside()
    made = Line([Deadband(VALUE, 3), Change(VALUE)], aside, labels=("deadband", "change"))
    made.insert(0, (1, 5, None))
    saved = made.snapshot() | {"gone": 1}
    fold = AggFold({"n": ("x", "count")})
    aside = Aside()
    windows = Windowed(Tumbling(10, 5, fold), 5, aside, same)
    other = Line([Change(VALUE), windows], aside, labels=("change", "deadband"))
    other.restore(saved)
    assert aside.unfit == 2
    assert other.insert(0, (2, 5, None)) == ()
