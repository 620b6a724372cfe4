"""How much of a lane may be between outbox and lake: as much as the lake takes soon, by the hub's word."""

import msgspec
from msgspec import Struct
from tests.network.rows import ROWS, Rows, drain, mark, spans

from rimward.network.config import UplinkConfig
from rimward.network.lanes import DOUBT, RESEND, UNTOLD
from rimward.network.uplink import UplinkCore
from rimward.wire import Mark, Marks, Pace, Segment

MANY = 10**6
AHEAD = 4_000


def sent(segments: list[Segment]) -> int:
    return sum(one.last - one.first + 1 for one in segments)


def told(rate: float, standing: float = 0.2, *lanes: str) -> tuple[UplinkCore, Rows]:
    """Return a core that was told a pace and has many rows in some lanes."""
    core = UplinkCore(UplinkConfig(rows=ROWS, ahead=AHEAD))
    core.pace = Pace(rate, standing)
    return core, Rows(**{lane: ("normal", {1: MANY}) for lane in lanes or ("warm",)})


def test_without_a_word_of_the_hub_a_lane_stops_until_its_mark_moves() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: MANY}))
    assert UNTOLD <= sent(drain(core, source)) < UNTOLD + ROWS
    core.marked(mark("warm", 1, 1000), 0.1)
    assert sent(drain(core, source, 0.1)) == 1000


def test_a_lane_has_as_many_rows_on_the_bus_as_the_lake_takes_in_the_standing_time() -> None:
    core, source = told(10_000)
    assert sent(drain(core, source)) == 2000
    core.pace = Pace(5_000, 0.2)
    core.marked(mark("warm", 1, 1500), 0.1)
    assert sent(drain(core, source, 0.1)) == 500


def test_what_is_new_of_another_lane_goes_beside_one_that_waits() -> None:
    core, source = told(10_000)
    drain(core, source)
    source.add("live", 5)
    core.next(source, 1.0)
    assert [one.lane.fact for one in drain(core, source, 2.0)] == ["live"]


def test_whatever_a_hub_says_there_is_a_limit() -> None:
    core, source = told(1e12)
    assert sent(drain(core, source, most=MANY)) == AHEAD


def test_where_an_envelope_is_more_than_a_lane_may_send_they_go_apart() -> None:
    core, source = told(2.0)
    assert sent(drain(core, source, 0.0)) == ROWS
    core.marked(mark("warm", 1, ROWS), 0.5)
    assert drain(core, source, 0.5) == []
    assert 4.4 < core.wait < 4.6
    assert spans(drain(core, source, ROWS / 2.0)) == [(1, ROWS + 1, 2 * ROWS)]


def test_a_lane_without_a_backlog_does_not_wait_for_its_turn() -> None:
    core, source = told(2.0)
    source = Rows(live=("normal", {1: 5}))
    assert sent(drain(core, source, 0.0)) == 5
    core.marked(mark("live", 1, 5), 0.3)
    source.add("live", 4)
    core.next(source, 0.4)
    assert sent(drain(core, source, 0.7)) == 4


def test_a_lane_that_goes_back_stands_nowhere_and_is_sent_again() -> None:
    core, source = told(10_000)
    drain(core, source)
    core.tick(RESEND + 0.1)
    again = drain(core, source, RESEND + 0.1)
    assert (again[0].first, sent(again)) == (1, DOUBT * ROWS)
    core.marked(mark("warm", 1, 1000), 3.0)
    assert sent(drain(core, source, 3.0)) == 2000


def test_a_mark_that_is_late_for_all_takes_no_lane_back() -> None:
    core, source = told(10_000)
    now = 0.0
    for turn in range(1, 20):
        drain(core, source, now)
        now += 1.8
        core.tick(now)
        core.marked(mark("warm", 1, 2000 * turn, turn), now)
    drain(core, source, now)
    core.tick(now + 2 * RESEND)
    assert core.attempt("warm") == 0
    core.tick(now + 10.0)
    assert core.attempt("warm") == 1


def test_on_another_connection_the_pace_is_unknown_again() -> None:
    core, source = told(100.0)
    drain(core, source)
    core.begin(1.0, same_bus=True)
    assert core.pace is None
    assert UNTOLD - 3 * ROWS <= sent(drain(core, source, 1.0)) <= UNTOLD + ROWS


class OlderMarks(Struct, frozen=True):
    """Marks as nodes before the pace know them."""

    node: str
    marks: tuple[Mark, ...]
    hub: str = ""


def test_a_pace_is_no_news_to_an_older_node_and_none_comes_of_an_older_hub() -> None:
    known = (mark("warm", 1, 7),)
    said = Marks("n", known, pace=Pace(1000.0, 0.2))
    assert Marks.decode(said.encode()) == said
    assert msgspec.msgpack.decode(said.encode(), type=OlderMarks) == OlderMarks("n", known)
    assert Marks.decode(msgspec.msgpack.encode(OlderMarks("n", known))) == Marks("n", known)
