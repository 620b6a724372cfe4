"""Batches: what is in one lives by its own time, however late the batch was sent."""

from hypothesis import given
from hypothesis import strategies as st
from tests.streams.driving import Event, Make, drive, one

from rimward.streams import ApplyFold, Aside, Joined, Line, Near, Tumbling, Windowed, run
from rimward.streams.operators import FlatMap, Ordered
from rimward.streams.snapshots import pack, unpack
from rimward.streams.values import PLAIN

FAR = 100_000  # ns that a device was away
BATCHES = st.lists(st.tuples(st.integers(0, 60), st.lists(st.integers(0, 90), max_size=4)), max_size=12)
CUT = st.integers(0, 12)


def opened(aside: Aside) -> FlatMap:
    return FlatMap(list, lambda part: part, aside)


def windows(aside: Aside) -> Windowed:
    return Windowed(Tumbling(10, 5, ApplyFold(sorted)), 5, aside, lambda value: value)


def made(aside: Aside) -> Line:
    return Line([opened(aside), windows(aside)], aside)


def met(aside: Aside) -> Joined:
    """Meet two lines of batches."""
    sides = [Line([opened(aside)], aside, source) for source in (0, 1)]
    pair = Near(2, 5, lambda left, right: left, aside, (PLAIN, PLAIN))
    return Joined(sides[0], sides[1], pair, Line([windows(aside)], aside), aside)


def sorted_first(aside: Aside) -> Line:
    return Line([Ordered(20, aside), opened(aside), windows(aside)], aside)


@given(BATCHES, CUT)
def test_a_snapshot_between_batches_changes_nothing(batches: list[Event], cut: int) -> None:
    assert drive(made, one(batches), cut=cut) == drive(made, one(batches))
    both = [(index % 2, batch) for index, batch in enumerate(batches)]
    assert drive(met, both, cut=cut) == drive(met, both)


@given(st.lists(st.integers(0, 200), max_size=30), st.integers(1, 7), st.sampled_from([made, sorted_first]))
def test_batches_sent_long_after_they_were_measured_lose_nothing(
    times: list[int], size: int, make: Make
) -> None:
    times.sort()
    batches = [(FAR + at, times[at : at + size]) for at in range(0, len(times), size)]
    out, late = drive(make, one(batches), end=False)
    assert late == []
    given_out = [time for _, value in out for time in value]
    assert given_out == times[: len(given_out)]
    if make is made:
        assert given_out == [time for time in times if time // 10 * 10 + 15 <= times[-1]]


def test_a_silent_devices_parts_are_taken_to_go_on_like_its_batches() -> None:
    aside = Aside()
    line = made(aside)
    assert not run(line, 0, (FAR, [3, 4], None), FAR)
    assert line.deadline() == FAR + 11, "the newest part was at 4, its window closes at 15"
    line.restore(unpack(pack(line.snapshot())))
    assert line.advance(FAR + 10) == []
    assert [value for _, value, _ in line.advance(FAR + 11)] == [[3, 4]]


def test_a_part_of_the_far_future_is_refused_and_ends_no_window() -> None:
    aside = Aside()
    line, aside.until = made(aside), FAR
    assert not run(line, 0, (50, [3, FAR + 1], None), 50)
    assert not run(line, 0, (51, [4], None), 51)
    assert aside.ahead == 1
    assert aside.lates == []
