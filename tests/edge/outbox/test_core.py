import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.edge.api import read_account
from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import OutboxCore
from rimward.edge.outbox.chunks import CHUNK_BYTES
from rimward.events import OutboxBroken
from rimward.wire import Epoch

from .outbox_support import DAY, SECOND, Wall, chunks, commit, core, letter, mark, query, row, rows


def test_a_facts_rows_are_numbered_from_one_without_gaps(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"), row("b", "cold"), row("c"))
        commit(outbox, row("d"))
        counter = outbox.epoch.counter
    assert rows(tmp_path) == [
        (counter, "cold", 1, "b"),
        (counter, "warm", 1, "a"),
        (counter, "warm", 2, "c"),
        (counter, "warm", 3, "d"),
    ]


def test_each_open_is_a_new_epoch_and_numbers_from_one_again(tmp_path: Path) -> None:
    epochs: list[Epoch] = []
    for _ in range(3):
        with core(tmp_path) as outbox:
            commit(outbox, row("a"))
            epochs.append(outbox.epoch)
    assert [epoch.counter for epoch in epochs] == [1, 2, 3]
    assert len({epoch.nonce for epoch in epochs}) == 3
    assert [(counter, seq) for counter, _, seq, _ in rows(tmp_path)] == [(1, 1), (2, 1), (3, 1)]


def test_a_copied_file_gives_the_same_counter_with_another_nonce(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"))
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "outbox.db").write_bytes((tmp_path / "outbox.db").read_bytes())
    with core(tmp_path) as here, core(clone) as there:
        assert here.epoch.counter == there.epoch.counter
        assert here.epoch.nonce != there.epoch.nonce


def test_a_chunk_holds_what_an_envelope_may_and_one_schema(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        big = "x" * (CHUNK_BYTES // 3)
        commit(outbox, *(row(big) for _ in range(5)), row("y", schema="s2"), row("z", schema="s2"))
        assert [chunk[2:] for chunk in chunks(tmp_path)] == [
            (1, 2, "s1"), (3, 4, "s1"), (5, 5, "s1"), (6, 7, "s2"),
        ]  # fmt: skip


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3000)), max_size=6), max_size=5))
def test_whatever_the_groups_lanes_are_gapless_and_bytes_add_up(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[tuple[str, int]]]
) -> None:
    folder = tmp_path_factory.mktemp("outbox")
    with core(folder) as outbox:
        for group in groups:
            commit(outbox, *(row("x" * (20 * size), fact) for fact, size in group))
        assert outbox.held == (query(folder, "select sum(length(body)) from chunk")[0][0] or 0)
    for fact in "abc":
        wanted = sum(name == fact for group in groups for name, _ in group)
        spans = [(first, last) for _, name, first, last, _ in chunks(folder) if name == fact]
        assert [seq for first, last in spans for seq in range(first, last + 1)] == list(range(1, wanted + 1))


def test_a_failed_commit_leaves_nothing_and_its_numbers_are_given_again(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"))
        before = outbox.held, outbox.dead_bytes, outbox.dead_total
        outbox._db.execute(f"pragma max_page_count={query(tmp_path, 'pragma page_count')[0][0]}")
        forwards = [row("x" * 200_000)]
        with pytest.raises(sqlite3.OperationalError, match="full"):
            outbox.commit(forwards, {("s", "k"): b"v"}, [letter(b"p")])
        assert (outbox.held, outbox.dead_bytes, outbox.dead_total) == before
        outbox._db.execute("pragma max_page_count=1000000")
        commit(outbox, row("b"))
    assert [(seq, value) for _, _, seq, value in rows(tmp_path)] == [(1, "a"), (2, "b")]
    assert query(tmp_path, "select * from cell") == []


def test_rows_go_only_behind_the_mark_and_after_keep_after_commit(tmp_path: Path) -> None:
    wall = Wall()
    with core(tmp_path, wall, OutboxConfig(keep_after_commit=86_400)) as outbox:
        for value in "abc":
            commit(outbox, row(value))
        assert outbox.forget(mark(outbox, 2)) == 0, "they are younger than keep_after_commit"
        wall.now += DAY + SECOND
        assert outbox.forget(mark(outbox, 2)) == 2
        assert [value for *_, value in rows(tmp_path)] == ["c"]
        assert outbox.held == query(tmp_path, "select sum(length(body)) from chunk")[0][0]
        assert outbox.forget(mark(outbox, 2)) == 0


def test_a_mark_frees_all_older_epochs_of_its_fact_alone(tmp_path: Path) -> None:
    wall = Wall()
    for _ in range(2):
        with core(tmp_path, wall) as outbox:
            commit(outbox, row("old"), row("other", "cold"))
    with core(tmp_path, wall) as outbox:
        commit(outbox, row("new"), row("newer"))
        wall.now += 2 * DAY
        outbox.forget(mark(outbox, 1))
        assert [(fact, value) for _, fact, _, value in rows(tmp_path)] == [
            ("cold", "other"), ("cold", "other"), ("warm", "new"), ("warm", "newer"),
        ]  # fmt: skip


@pytest.mark.parametrize("wrong", [{"nonce": 1}, {"counter": 9}, {"generation": -1}])
def test_a_mark_of_another_disk_or_of_an_older_lake_frees_nothing(
    tmp_path: Path, wrong: dict[str, int]
) -> None:
    wall = Wall()
    with core(tmp_path, wall) as outbox:
        commit(outbox, row("a"))
        wall.now += 2 * DAY
        assert outbox.forget(mark(outbox, 1, "warm", **wrong)) == 0
        assert len(rows(tmp_path)) == 1


def test_committed_rows_go_at_once_where_they_take_half_the_room(tmp_path: Path) -> None:
    with core(tmp_path, config=OutboxConfig(max_bytes=100_000)) as outbox:
        for _ in range(8):
            commit(outbox, row("x" * 10_000))
        outbox.forget(mark(outbox, 6))
        assert [chunk[2] for chunk in chunks(tmp_path)] == [5, 6, 7, 8]
        assert outbox.held <= 50_000
        assert outbox.held == query(tmp_path, "select sum(length(body)) from chunk")[0][0]


def test_lanes_of_old_starts_become_one_sum_and_the_ledger_still_adds_up(tmp_path: Path) -> None:
    wall, folder = Wall(), tmp_path / "node"
    folder.mkdir()
    for _ in range(6):
        with core(folder, wall) as outbox:
            commit(outbox, row("a"), row("b"), row("c", "cold"))
            wall.now += 2 * DAY
            outbox.forget(mark(outbox, 2))
    with core(folder, wall):
        account = read_account(tmp_path)
        assert account is not None
        assert {lane.lane: lane.forwarded for lane in account.lanes} == {"warm": 12, "cold": 6}
        counters = query(folder, "select counter from lane where fact = 'warm'")
        assert counters == [(6,)], "the newest says where the next epoch begins"
        assert query(folder, "select count(*) from lane where fact = 'cold'") == [(6,)], "its rows wait"
        assert query(folder, "select count(*) from epoch") == [(7,)]


def test_dead_letters_keep_to_their_budget_and_the_newest_stay(tmp_path: Path) -> None:
    with core(tmp_path, config=OutboxConfig(dead_bytes=1_000)) as outbox:
        for n in range(20):
            outbox.commit([], {}, [letter(bytes([n]) * 100)])
        kept = query(tmp_path, "select id, bytes from dead order by id")
        assert [id_ for id_, _ in kept] == list(range(21 - len(kept), 21))
        assert 500 < outbox.dead_bytes == sum(size for _, size in kept) <= 1_000
        assert outbox.dead_total == 20
        outbox.commit([], {}, [letter(b"x" * 5_000)])
        assert (outbox.dead_bytes, outbox.dead_total) == (0, 21), "one that is larger than all its room"


def test_a_value_is_kept_replaced_and_forgotten_with_its_commit(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        outbox.commit([], {("s", "a"): b"1", ("s", "b"): b"2"}, [])
        outbox.commit([], {("s", "a"): b"3", ("s", "b"): None, ("t", "a"): b"4"}, [])
    with core(tmp_path) as outbox:
        assert outbox.load() == {"s": {"a": b"3"}, "t": {"a": b"4"}}


def test_every_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        assert outbox._db.execute("pragma synchronous").fetchone() == (2,), "FULL"
        assert outbox._db.execute("pragma journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("damage", ["cut", "noise", "text"])
def test_a_damaged_file_is_put_aside_and_a_new_one_counts_on(tmp_path: Path, damage: str) -> None:
    with core(tmp_path) as outbox:
        for _ in range(50):
            commit(outbox, row("x" * 3000))
        counter = outbox.epoch.counter
    file = tmp_path / "outbox.db"
    whole = file.read_bytes()
    ruined = {
        "cut": whole[: len(whole) // 2],
        "noise": whole[:4096] + b"\xa5" * (len(whole) - 4096),
        "text": b"not a database" * 400,
    }
    file.write_bytes(ruined[damage])
    with core(tmp_path) as outbox:
        assert outbox.quarantined is not None
        assert outbox.quarantined.read_bytes() == ruined[damage], "nothing that may be of use is thrown away"
        assert outbox.epoch.counter == counter + 1, "a counter that the hub knows would be another disk's"
        commit(outbox, row("new"))
    assert [value for *_, value in rows(tmp_path)] == ["new"]


def test_a_folder_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutboxBroken, match=r"missing/outbox\.db: unable to open database file"):
        OutboxCore(tmp_path / "missing" / "outbox.db", Wall(), OutboxConfig())


def test_an_abandoned_file_is_copied_and_not_written_again(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"))
        outbox.commit([], {("s", "k"): b"v"}, [])
        outbox.give_up()
        inode = (tmp_path / "outbox.db").stat().st_ino
    with core(tmp_path) as outbox:
        assert (tmp_path / "outbox.db").stat().st_ino != inode
        assert outbox.load() == {"s": {"k": b"v"}}
        assert outbox.epoch.counter == 2
        commit(outbox, row("b"))
    assert [(counter, value) for counter, _, _, value in rows(tmp_path)] == [(1, "a"), (2, "b")]
    assert [file.stat().st_ino for file in tmp_path.glob("*.abandoned")] == [inode]
    assert not (tmp_path / "outbox.broken").exists()


@pytest.mark.parametrize("killed_after", ["copy", "move"])
def test_a_renewal_that_was_killed_is_finished_at_the_next_start(tmp_path: Path, killed_after: str) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row("a"))
        outbox.give_up()
    file, fresh = tmp_path / "outbox.db", tmp_path / "outbox.fresh"
    fresh.write_bytes(file.read_bytes())
    (tmp_path / "outbox.broken").write_text("copied")
    if killed_after == "move":
        file.rename(tmp_path / "outbox.5.abandoned")
    with core(tmp_path):
        assert [value for *_, value in rows(tmp_path)] == ["a"]
    assert not fresh.exists()
