"""`live_first`: what is new overtakes a backlog in a lane of its own, and no row changes its name."""

from pathlib import Path

from .outbox_support import Wall, commit, core, mark, query, row, rows


def test_new_rows_take_a_lane_that_has_nothing_waiting_and_come_back_when_it_is_free(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row(1, live_first=True))
        outbox.link_up()
        commit(outbox, row(2, live_first=True), row("x", "cold"))
        assert [(lane, seq, value) for _, lane, seq, value in rows(tmp_path)] == [
            ("cold", 1, "x"), ("warm", 1, 1), ("warm-1", 1, 2),
        ]  # fmt: skip
        outbox.forget(mark(outbox, 1))
        outbox.link_up()
        commit(outbox, row(3, live_first=True))
        assert ("warm", 2, 3) in [(lane, seq, value) for _, lane, seq, value in rows(tmp_path)]


def test_with_every_lane_behind_rows_stay_where_they_are(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        for number in range(7):
            commit(outbox, row(number, live_first=True))
            outbox.link_up()
        assert query(tmp_path, "select fact, last_seq from lane order by fact") == [
            ("warm", 1), ("warm-1", 1), ("warm-2", 1), ("warm-3", 4),
        ]  # fmt: skip


def test_a_fact_that_keeps_its_order_has_one_lane(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row(1))
        outbox.link_up()
        commit(outbox, row(2))
        assert query(tmp_path, "select fact, last_seq from lane") == [("warm", 2)]


def test_a_start_after_a_backlog_overtakes_it_when_the_link_is_back(tmp_path: Path) -> None:
    wall = Wall()
    with core(tmp_path, wall) as outbox:
        commit(outbox, row(1, live_first=True))
    with core(tmp_path, wall) as outbox:
        outbox.link_up()
        commit(outbox, row(2, live_first=True))
        assert query(tmp_path, "select counter, fact from lane") == [(1, "warm"), (2, "warm-1")]
