"""Epochs whose counter another disk has used: all that waits moves above it, whole or not at all."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimward.edge.outbox.rekeying import Rekey, moving

from .outbox_support import Wall, commit, core, mark, query, row, rows, tallies


def waiting(folder: Path) -> list[tuple[int, int, Any]]:
    return [(counter, seq, value) for counter, _, seq, value in rows(folder)]


def test_a_clashing_epoch_moves_with_its_numbers_and_new_rows_follow_it(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"), row("b"))
        nonce = outbox.epoch.nonce
        assert outbox.rekey(Rekey(17, {1: nonce ^ 1})) == {1: 18}
        assert outbox.epoch.counter == 19
        assert outbox.epoch.nonce != nonce, "a copy of the disk knows it by its rows alone"
        commit(outbox, row("c"))
        assert waiting(tmp_path) == [(18, 1, "a"), (18, 2, "b"), (19, 1, "c")]
    with core(tmp_path) as outbox:
        assert outbox.epoch.counter == 20
    assert query(tmp_path, "select counter from epoch") == [(18,), (19,), (20,)]
    assert tallies(tmp_path) == {"warm": {"forwarded": 3}}


def test_an_epoch_that_was_copied_whole_stays_and_what_came_after_it_keeps_its_order(tmp_path: Path) -> None:
    nonces: list[int] = []
    for value in "abc":
        with core(tmp_path) as outbox:
            commit(outbox, row(value))
            nonces.append(outbox.epoch.nonce)
    with core(tmp_path) as outbox:
        commit(outbox, row("d"))
        known = Rekey(9, {1: nonces[0], 2: nonces[1] ^ 1})
        assert outbox.rekey(known) == {2: 10, 3: 11, 4: 12}
        assert waiting(tmp_path) == [(1, 1, "a"), (10, 1, "b"), (11, 1, "c"), (12, 1, "d")]
        assert outbox.rekey(known) == {}, "the second time there is nothing to do"


def test_what_the_lake_has_stays_and_the_rest_of_its_lane_is_numbered_anew(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, *(row(n) for n in range(5)), row("x", "cold"))
        outbox.forget(mark(outbox, 3))
        outbox.forget(mark(outbox, 1, "cold"))
        nonce = outbox.epoch.nonce
        assert outbox.rekey(Rekey(4, {1: nonce}, {"warm": {1: 3}, "cold": {1: 1}})) == {1: 5}
        assert rows(tmp_path) == [
            (1, "cold", 1, "x"),
            (1, "warm", 1, 0), (1, "warm", 2, 1), (1, "warm", 3, 2),
            (5, "warm", 1, 3), (5, "warm", 2, 4),
        ]  # fmt: skip
        commit(outbox, row("new"), row("y", "cold"))
        assert rows(tmp_path)[-3:] == [(5, "warm", 2, 4), (6, "cold", 1, "y"), (6, "warm", 1, "new")]
        assert outbox.held == query(tmp_path, "select sum(length(body)) from chunk")[0][0]
        assert query(tmp_path, "select sum(bytes) from lane")[0][0] == outbox.held


def test_a_move_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"))
        nonce = outbox.epoch.nonce
        outbox._db.execute(
            "create temp trigger no before delete on lane begin select raise(abort, 'no'); end"
        )
        with pytest.raises(sqlite3.Error, match="no"):
            outbox.rekey(Rekey(7, {1: nonce ^ 1}))
        assert outbox.epoch.counter == 1
        commit(outbox, row("b"))
        assert waiting(tmp_path) == [(1, 1, "a"), (1, 2, "b")]


@given(
    st.lists(st.booleans() | st.none(), min_size=1, max_size=8),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
    st.dictionaries(st.integers(1, 8), st.integers(0, 3)),
    st.integers(0, 12),
)
def test_a_lane_moves_from_its_first_row_on_that_can_not_be_taken_any_more(
    known: list[bool | None], rows: list[int], left: dict[int, int], above: int
) -> None:
    epochs = {counter: 100 + counter for counter in range(1, len(known) + 1)}
    nonces = {
        counter: epochs[counter] if same else 7 for counter, same in enumerate(known, 1) if same is not None
    }
    lasts = {(counter, "warm"): rows[counter - 1] for counter in epochs if rows[counter - 1]}
    moved = moving(Rekey(above, nonces, {"warm": left}), epochs, lasts)
    stuck = [
        one
        for one, _ in sorted(lasts)
        if nonces.get(one, epochs[one]) == 7 or rows[one - 1] > left.get(one, 3)
    ]
    going = [one for one, lanes in moved.items() if lanes]
    assert going == [one for one, _ in sorted(lasts) if stuck and one >= stuck[0]]
    assert moved.keys() >= {counter for counter, nonce in nonces.items() if nonce == 7}
    assert (len(known) in moved) == bool(moved or above > len(known)), "what comes now comes after all"


def test_a_copys_rows_go_where_the_other_copy_has_moved_them(tmp_path: Path) -> None:
    """Both had them under the same number, and can't both give them one of their own."""
    with core(tmp_path) as outbox:
        commit(outbox, *(row(n) for n in range(5)))
        nonce = outbox.epoch.nonce
    with core(tmp_path) as outbox:
        commit(outbox, row("new"))
        moved = outbox.rekey(Rekey(9, {1: nonce, 8: nonce}, {"warm": {1: 3}}))
        assert moved == {1: 8, 2: 10}
        assert waiting(tmp_path)[3:] == [(8, 1, 3), (8, 2, 4), (10, 1, "new")]
        assert outbox.epoch.counter == 11


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(0, 20), st.integers(1, 4), st.integers(0, 20),
)  # fmt: skip
def test_no_row_is_lost_or_doubled_and_every_lane_is_gapless_from_one(
    tmp_path_factory: pytest.TempPathFactory, starts: list[list[int]], above: int, at: int, reached: int
) -> None:
    folder, wall, wanted = tmp_path_factory.mktemp("outbox"), Wall(), list[str]()
    for start in starts[:-1]:
        with core(folder, wall) as outbox:
            for group in start:
                values = [f"{len(wanted) + n}" for n in range(group)]
                commit(outbox, *map(row, values))
                wanted += values
    with core(folder, wall) as outbox:
        for group in starts[-1]:
            values = [f"{len(wanted) + n}" for n in range(group)]
            commit(outbox, *map(row, values))
            wanted += values
        counter = min(at, len(starts))
        last = outbox.stock.last((counter, "warm"))
        nonces = outbox.nonces
        outbox.forget(mark(outbox, min(reached, last), counter=counter, nonce=nonces[counter]))
        ends = {one: outbox.stock.last((one, "warm")) for one in nonces if one < counter}
        left = ends | {counter: min(reached, last)} if at % 2 else {}  # the lake has gone past it
        outbox.rekey(Rekey(above, nonces, {"warm": left}))
        commit(outbox, row("after"))
    found = rows(folder)
    assert [value for *_, value in found] == [*wanted, "after"], "in the order in which they were taken"
    lanes: dict[int, list[int]] = {}
    for one, _, seq, _ in found:
        lanes.setdefault(one, []).append(seq)
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in lanes.values())
    assert dict(query(folder, "select counter, last_seq from lane")) == {c: len(s) for c, s in lanes.items()}
