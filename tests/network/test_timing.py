"""When an envelope goes: once it is full, or its first row has waited for its class's time."""

import pytest
from tests.network.rows import Rows, drain, mark, spans

from rimward.network.config import UplinkConfig
from rimward.network.pace import Allowance
from rimward.network.uplink import UNANSWERED, UplinkCore

GATHER, SOON = UplinkConfig().gather, UplinkConfig().gather_critical


def quiet(rows: int = 500, size: int = 64 << 10) -> tuple[UplinkCore, Rows]:
    """A core that has looked at its empty source at 10.0 s."""
    core, source = UplinkCore(UplinkConfig(rows=rows, bytes=size)), Rows()
    assert core.next(source, 10.0) is None
    return core, source


def test_rows_that_were_there_before_the_process_go_at_once() -> None:
    assert len(drain(UplinkCore(), Rows(warm=("normal", {1: 3})), 5.0)) == 1


@pytest.mark.parametrize(("priority", "time"), [("normal", GATHER), ("bulk", GATHER), ("critical", SOON)])
def test_a_row_waits_for_others_as_long_as_its_class_says_and_no_longer(priority: str, time: float) -> None:
    core, source = quiet()
    source.add("warm", 1, priority)
    assert core.next(source, 10.01) is None
    assert core.wait == pytest.approx(time - 0.01), "it came after the look before"
    source.add("warm", 1, priority)
    assert core.next(source, 10 + time - 0.001) is None
    assert spans(drain(core, source, 10 + time)) == [(1, 1, 2)]
    assert core.next(source, 10 + time) is None
    assert core.wait == float("inf")


def test_a_full_envelope_waits_for_nothing() -> None:
    core, source = quiet(rows=10)
    source.add("warm", 10)
    assert spans(drain(core, source, 10.01)) == [(1, 1, 10)]


def test_what_came_later_waits_from_its_own_time() -> None:
    core, source = quiet(rows=10)
    source.add("warm", 9)
    assert core.next(source, 10.02) is None
    source.add("warm", 4)
    assert spans(drain(core, source, 10.1)) == [(1, 1, 10)]
    assert core.wait == pytest.approx(10.02 + GATHER - 10.1)
    assert spans(drain(core, source, 10.02 + GATHER)) == [(1, 11, 13)]


def test_large_rows_make_an_envelope_full_by_their_bytes() -> None:
    core, source = quiet(size=1000)
    source.add("warm", 1)
    (segment,) = drain(core, source, 11.0, most=1)
    segment.rows = bytes(400)
    source.add("warm", 1)
    sized = core.next(source, 12.0)
    assert sized is not None
    sized.rows = bytes(400)
    core.sent(sized, 400, 12.0)
    source.add("warm", 2)
    assert core.next(source, 12.01) is None
    source.add("warm", 1)
    assert core.next(source, 12.02) is not None, "three of 400 bytes are more than 1,000"


def test_a_repeat_waits_for_nothing() -> None:
    core, source = quiet()
    source.add("warm", 3)
    assert len(drain(core, source, 11.0)) == 1
    core.begin(11.0, same_bus=False)
    assert spans(drain(core, source, 11.0)) == [(1, 1, 3)]


def test_on_the_same_bus_only_what_it_has_not_answered_is_sent_again() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 40}))
    assert len(drain(core, source, 0, most=2)) == 2
    unanswered = core.next(source, 0)
    assert unanswered is not None
    core.sent(unanswered, 1, 0)
    core.begin(1, same_bus=True)
    assert core.flying == 0
    assert spans(drain(core, source, 1, most=1)) == [(1, 21, 30)]
    core.begin(2, same_bus=False)
    assert spans(drain(core, source, 2, most=1)) == [(1, 1, 10)]


def test_another_hub_gets_everything_that_is_still_there() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 40}))
    drain(core, source)
    core.marked(mark("warm", 1, 40, version=900), 0)
    core.forget_marks()
    assert core.marked(mark("warm", 1, 10, version=3), 0), "its versions are its own"
    assert spans(drain(core, source, 0)) == [(1, 11, 20), (1, 21, 30), (1, 31, 40)]


def test_of_one_tables_lanes_the_one_with_newer_rows_comes_first() -> None:
    core = UplinkCore()
    source = Rows(warm=("normal", {1: 1000}), other=("normal", {1: 1000}))
    drain(core, source, 10.0, most=4)
    source.add("warm-1", 20)
    sent = [one.lane.fact for one in drain(core, source, 11.0, most=8)]
    assert [lane for lane in sent if lane != "other"] == ["warm-1", "warm-1", "warm", "warm"]
    assert sent.count("other") == 4, "tables take turns"


def test_on_a_metered_link_critical_lanes_alone_go_and_the_others_are_counted() -> None:
    core = UplinkCore()
    source = Rows(loud=("critical", {1: 20}), warm=("normal", {1: 20}), video=("bulk", {1: 20}))
    core.allow(Allowance(metered=True), 0)
    assert {one.lane.fact for one in drain(core, source, 0)} == {"loud"}
    assert core.held == 2
    core.allow(Allowance(), 1)
    assert {one.lane.fact for one in drain(core, source, 1)} == {"warm", "video"}
    assert core.held == 0


def test_under_a_cap_critical_rows_come_first_and_bulk_keeps_its_share() -> None:
    core = UplinkCore()
    source = Rows(loud=("critical", {1: 10**6}), video=("bulk", {1: 10**6}))
    core.allow(Allowance(8000.0), 0)
    went: dict[str, int] = {"loud": 0, "video": 0}
    for tick in range(4000):
        size = {"loud": 700, "video": 3000}
        while (segment := core.next(source, tick / 10)) is not None:
            core.sent(segment, size[segment.lane.fact], tick / 10)
            core.taken(segment, tick / 10)
            core.marked(mark(segment.lane.fact, 1, segment.last, tick), tick / 10)
            went[segment.lane.fact] += size[segment.lane.fact]
    total = went["loud"] + went["video"]
    assert 0.99 * 8000 * 400 < total < 8000 * 400.25 + 3000
    assert went["video"] / total == pytest.approx(1 / 8, abs=0.01)


def test_a_wait_for_the_rate_is_named() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 100}))
    core.allow(Allowance(1000.0), 0)
    drain(core, source, 0.0)
    core.charge(5000, 0.0)
    source.add("warm", 10)
    assert core.next(source, 1.0) is None
    assert 3 < core.wait < 5


def test_a_bus_that_owes_an_answer_for_too_long_is_told_apart_from_a_slow_one() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 100}))
    first = core.next(source, 0)
    assert first is not None
    core.sent(first, 1, 0)
    assert not core.overdue(UNANSWERED)
    assert core.overdue(UNANSWERED + 0.1)
    core.taken(first, 20.0)
    second = core.next(source, 20.0)
    assert second is not None
    core.sent(second, 1, 20.0)
    assert not core.overdue(20 + 4 * 20.0), "answers take twenty seconds here"
    assert core.overdue(20 + 4 * 20.1)
