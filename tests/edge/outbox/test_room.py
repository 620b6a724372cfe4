"""Who gives way when the outbox is full: nobody critical, nothing uncounted, and what the lake has first."""

from pathlib import Path
from typing import Any

import pytest

from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import OutboxCore
from rimward.events import OutboxFull

from .outbox_support import SECOND, Wall, commit, core, mark, query, row, rows, spec, tallies

ROW = 1_000  # bytes of a row, about
SMALL = OutboxConfig(max_bytes=20 * ROW)


def fill(
    outbox: OutboxCore, count: int, fact: str = "warm", priority: str = "normal", **keeping: Any
) -> None:
    for number in range(count):
        commit(outbox, row(f"{fact}{number} ".ljust(ROW), fact, priority=priority, **keeping))


def here(folder: Path, fact: str) -> list[int]:
    return [seq for _, name, seq, _ in rows(folder) if name == fact]


def lost(folder: Path) -> list[tuple[str, int, int, str, int]]:
    return query(folder, "select lane, first, last, reason, rows from lost order by lane, first")


def test_bulk_gives_way_first_then_normal_and_each_loss_is_recorded(tmp_path: Path) -> None:
    with core(tmp_path, config=SMALL) as outbox:
        fill(outbox, 5, "beat", "bulk")
        fill(outbox, 10)
        fill(outbox, 6, "alarm", "critical")
        assert here(tmp_path, "alarm") == [1, 2, 3, 4, 5, 6]
        assert here(tmp_path, "warm") == list(range(1, 11))
        gone = 5 - len(here(tmp_path, "beat"))
        assert gone >= 2
        assert lost(tmp_path) == [("beat", 1, gone, "shed", gone)]
        fill(outbox, 8, "alarm", "critical")
        assert here(tmp_path, "beat") == []
        warm = here(tmp_path, "warm")
        assert warm == list(range(11 - len(warm), 11)), "the oldest of them"
        assert lost(tmp_path) == [
            ("beat", 1, 5, "shed", 5),
            ("warm", 1, 10 - len(warm), "shed", 10 - len(warm)),
        ]
        assert tallies(tmp_path)["warm"] == {"forwarded": 10, "shed": 10 - len(warm)}
        assert outbox.held <= SMALL.max_bytes


def test_critical_rows_are_never_shed_and_refused_where_nothing_else_is_left(tmp_path: Path) -> None:
    with core(tmp_path, config=SMALL) as outbox:
        fill(outbox, 19, "alarm", "critical")
        with pytest.raises(OutboxFull, match=r"the limit is 20000; a critical fact of about 2000 bytes"):
            outbox.admit(spec("alarm", "critical"), 2 * ROW, ())
        with pytest.raises(OutboxFull):
            outbox.admit(spec("warm", "normal", when_full="shed-oldest"), 2 * ROW, ())
        fill(outbox, 1, "beat", "bulk")
        assert here(tmp_path, "alarm") == list(range(1, 20))
        assert lost(tmp_path) == []


def test_bulk_sheds_no_normal_rows(tmp_path: Path) -> None:
    with core(tmp_path, config=SMALL) as outbox:
        fill(outbox, 19)
        with pytest.raises(OutboxFull, match="a bulk fact"):
            outbox.admit(spec("beat", "bulk"), 2 * ROW, ())
        outbox.admit(spec(), 2 * ROW, ())


def test_a_fact_that_sheds_its_oldest_takes_nothing_from_others(tmp_path: Path) -> None:
    with core(tmp_path, config=SMALL) as outbox:
        fill(outbox, 10, "beat", "bulk")
        fill(outbox, 15, when_full="shed-oldest")
        assert here(tmp_path, "beat") == list(range(1, 11))
        warm = here(tmp_path, "warm")
        assert warm == list(range(16 - len(warm), 16))
        assert len(warm) < 10


def test_a_fact_that_refuses_makes_no_room(tmp_path: Path) -> None:
    with core(tmp_path, config=SMALL) as outbox:
        fill(outbox, 19, "beat", "bulk")
        with pytest.raises(OutboxFull):
            outbox.admit(spec(when_full="refuse"), 2 * ROW, ())
        assert lost(tmp_path) == []


def test_what_the_lake_has_goes_before_anything_is_shed_and_is_no_loss(tmp_path: Path) -> None:
    with core(tmp_path, config=SMALL) as outbox:
        fill(outbox, 9, "beat", "bulk")
        outbox.forget(mark(outbox, 9, "beat"))
        assert here(tmp_path, "beat") == list(range(1, 10)), "they are kept"
        outbox.admit(spec(when_full="refuse"), 15 * ROW, ())
        fill(outbox, 15, when_full="refuse")
        assert here(tmp_path, "warm") == list(range(1, 16))
        assert here(tmp_path, "beat") != list(range(1, 10))
        assert lost(tmp_path) == []
        assert tallies(tmp_path)["beat"] == {"forwarded": 9}


def test_a_facts_own_limit_sheds_its_own_oldest_while_there_is_room_for_others(tmp_path: Path) -> None:
    own: dict[str, Any] = {"max_bytes": 5 * ROW}
    with core(tmp_path) as outbox:
        fill(outbox, 3, "beat", "bulk")
        for number in range(12):
            outbox.admit(spec(**own), ROW, ())
            commit(outbox, row(f"{number}".ljust(ROW), **own))
        assert here(tmp_path, "beat") == [1, 2, 3]
        warm = here(tmp_path, "warm")
        assert warm == list(range(13 - len(warm), 13))
        assert (
            sum(size for (size,) in query(tmp_path, "select length(body) from chunk where fact = 'warm'"))
            <= 5 * ROW
        )
        with pytest.raises(OutboxFull, match="bytes of warm wait, its limit is 5000"):
            outbox.admit(spec(when_full="refuse", **own), 3 * ROW, ())


def test_rows_that_waited_too_long_expire_by_the_time_that_the_outbox_ran(tmp_path: Path) -> None:
    wall = Wall()
    with core(tmp_path, wall) as outbox:
        commit(outbox, row("old", max_age=60.0), row("for ever", "cold"))
        wall.now += 40 * SECOND
        assert outbox.expire() == 0
        commit(outbox, row("newer", max_age=60.0))
    wall.now += 400 * SECOND  # the node is off
    with core(tmp_path, wall) as outbox:
        assert outbox.expire() == 0
        wall.now += 35 * SECOND
        assert outbox.expire() == 1
        assert [value for *_, value in rows(tmp_path)] == ["for ever", "newer"]
        assert lost(tmp_path) == [("warm", 1, 1, "expired", 1)]
        assert tallies(tmp_path)["warm"] == {"forwarded": 2, "expired": 1}


def test_a_disk_with_less_than_the_reserve_lets_no_rows_in_but_in_place_of_others(tmp_path: Path) -> None:
    without = OutboxConfig(reserve=1 << 60)
    with core(tmp_path, config=without) as outbox, pytest.raises(OutboxFull, match="the limit is 0"):
        outbox.admit(spec(), ROW, ())
    with core(tmp_path) as outbox:
        fill(outbox, 30, "beat", "bulk")
    with core(tmp_path, config=without) as outbox:
        outbox.admit(spec(), ROW, ())
        fill(outbox, 3)
        assert here(tmp_path, "warm") == [1, 2, 3]
        assert len(here(tmp_path, "beat")) <= 27
        assert lost(tmp_path)[0][3] == "shed"
