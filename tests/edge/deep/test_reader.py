"""The outbox as the deep process reads it: every row comes in a segment, or a segment says why not."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimward.edge.config import OutboxConfig
from rimward.edge.deep.reader import BYTES, ROWS, OutboxReader
from rimward.edge.outbox import Forward, OutboxCore
from rimward.wire import (
    Header,
    Mark,
    Marks,
    Place,
    Segment,
    Supply,
    Tally,
    decode,
    encode_raw,
    transaction_version,
)

DAY = 86_400_000_000_000


def row(value: Any, fact: str = "warm", priority: str = "normal", schema: str = "s1") -> Forward:
    return Forward(fact, schema, priority, 1, "e", None, None, replayed=False, values=(value,))


def commit(outbox: OutboxCore, *rows: Forward) -> None:
    outbox.commit(list(rows), {}, [])


@contextmanager
def core(folder: Path, now: int = 0) -> Generator[OutboxCore]:
    outbox = OutboxCore(folder / "outbox.db", lambda: now, OutboxConfig())
    try:
        yield outbox
    finally:
        outbox.close()


@contextmanager
def reader(folder: Path) -> Generator[OutboxReader]:
    opened = OutboxReader(folder / "outbox.db", "n1")
    try:
        yield opened
    finally:
        opened.close()


def segments(opened: OutboxReader, fact: str = "warm", after: Place = (0, 0)) -> list[Segment]:
    (supply,) = [one for one in opened.supplies() if one.fact == fact]
    found: list[Segment] = []
    while (segment := opened.segment(supply, after)) is not None:
        assert segment.end > after
        after = segment.end
        found.append(segment)
    assert after == supply.last
    return found


def values(segment: Segment) -> list[Any]:
    """Return the rows' values, as a reader of the sealed envelope gets them."""
    head = Header(segment.schema, segment.priority, segment.first, segment.last, 0, lost=segment.lost)
    count = 0 if segment.lost else segment.last - segment.first + 1
    return [one.values[0] for one in decode(encode_raw(head, count, segment.rows))[1]]


def spans(found: list[Segment]) -> list[tuple[int, int, int, str | None]]:
    return [(one.lane.epoch.counter, one.first, one.last, one.lost) for one in found]


def damage(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "outbox.db", isolation_level=None)) as db:
        db.execute(sql)


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 9_000), max_size=5), min_size=1, max_size=6), st.integers(1, 3))
def test_every_row_comes_once_in_order_in_envelopes_that_fit(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[int]], starts: int
) -> None:
    folder, wanted = tmp_path_factory.mktemp("outbox"), list[tuple[int, str]]()
    for start in range(1, starts + 1):
        with core(folder) as outbox:
            for number, group in enumerate(groups):
                texts = [f"{number}" + "x" * size for size in group]
                commit(outbox, *(row(text) for text in texts), row("y", "other"))
                wanted += [(start, text) for text in texts]
    if not wanted:
        return
    with reader(folder) as opened:
        found = segments(opened)
        assert [(one.lane.epoch.counter, value) for one in found for value in values(one)] == wanted
        assert all(len(one.rows) <= BYTES or one.first == one.last for one in found)


def test_an_envelope_has_no_more_than_its_rows(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        for _ in range(30):
            commit(outbox, *(row(n) for n in range(40)))
        assert [one.last - one.first + 1 for one in segments(opened)] == [480, 480, 240]
        assert ROWS == 500


def test_a_segment_has_one_schema(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        commit(outbox, row(1))
        commit(outbox, row(2, schema="s2"))
        assert [(one.schema, values(one)) for one in segments(opened)] == [("s1", [1]), ("s2", [2])]


def test_each_epoch_names_the_last_row_of_the_one_before(tmp_path: Path) -> None:
    nonces: list[int] = []
    for count in (3, 0, 2, 1):
        with core(tmp_path) as outbox:
            nonces.append(outbox.epoch.nonce)
            if count:
                commit(outbox, *(row(n) for n in range(count)))
            commit(outbox, row("x", "other"))
    with reader(tmp_path) as opened:
        found = segments(opened)
    assert [(one.lane.epoch.counter, one.prior, one.prior_nonce) for one in found] == [
        (1, 0, 0),
        (3, transaction_version(1, 3), nonces[0]),
        (4, transaction_version(3, 2), nonces[2]),
    ]


def test_the_row_before_is_named_even_when_it_is_forgotten(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        commit(outbox, row(1), row(2))
        first = outbox.epoch
    with core(tmp_path, now=2 * DAY) as outbox:
        commit(outbox, row(3))
        marks = Marks("n1", (Mark("warm", "t", 0, 1, first.counter, first.nonce, 2),))
        assert outbox.forget(marks) == 1
    with core(tmp_path), reader(tmp_path) as opened:
        (segment,) = segments(opened, after=(1, 2))
    assert (segment.prior, segment.prior_nonce) == (transaction_version(1, 2), first.nonce)


def test_rows_that_are_forgotten_and_asked_for_again_are_said_to_be_lost(tmp_path: Path) -> None:
    with core(tmp_path) as outbox:
        for n in range(4):
            commit(outbox, row(n), row(n))
        damage(tmp_path, "delete from chunk where first in (1, 5)")
    with core(tmp_path) as outbox:
        commit(outbox, row("new"))
        with reader(tmp_path) as opened:
            assert spans(segments(opened)) == [
                (1, 1, 2, "forgotten"), (1, 3, 4, None), (1, 5, 6, "forgotten"), (1, 7, 8, None),
                (2, 1, 1, None),
            ]  # fmt: skip
            damage(tmp_path, "delete from chunk where counter = 1")
            assert spans(segments(opened)) == [(1, 1, 8, "forgotten"), (2, 1, 1, None)]


def test_a_damaged_chunk_is_said_to_be_lost_and_its_neighbours_come(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        for n in range(3):
            commit(outbox, row(n), row(n))
        damage(tmp_path, "update chunk set body = x'00' where first = 3")
        assert spans(segments(opened)) == [(1, 1, 2, None), (1, 3, 4, "corrupt"), (1, 5, 6, None)]
        assert opened.corrupt == 2


def test_a_mark_inside_a_chunk_gets_the_whole_chunk(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        commit(outbox, *(row(n) for n in range(5)))
        (segment,) = segments(opened, after=(1, 2))
        assert (segment.first, segment.last) == (1, 5)


def test_a_fact_has_the_priority_of_its_newest_rows(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        commit(outbox, row(1, priority="bulk"))
        assert opened.supplies() == [Supply("warm", "bulk", (1, 1))]
        commit(outbox, row(2, priority="critical"), row(3, "cold", "bulk"))
        assert opened.supplies() == [Supply("cold", "bulk", (1, 1)), Supply("warm", "critical", (1, 2))]
        assert {one.priority for one in segments(opened)} == {"critical"}, "a lane takes one way"


def test_a_file_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    with core(tmp_path), reader(tmp_path) as opened:
        assert not opened.replaced()
        (tmp_path / "outbox.db").rename(tmp_path / "outbox.old")
        assert opened.replaced()
        (tmp_path / "outbox.db").write_bytes(b"")
        assert opened.replaced()


def test_a_recorded_loss_comes_with_its_reason_between_the_rows_around_it(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        for n in range(5):
            commit(outbox, row(n), row(n))
        damage(tmp_path, "delete from chunk where first in (1, 3, 7)")
        damage(tmp_path, "insert into lost values (1, 'warm', 2, 4, 'shed', 3, 0)")
        damage(tmp_path, "insert into lost values (1, 'warm', 7, 8, 'expired', 2, 0)")
        assert spans(segments(opened)) == [
            (1, 1, 1, "forgotten"), (1, 2, 4, "shed"), (1, 5, 6, None), (1, 7, 8, "expired"),
            (1, 9, 10, None),
        ]  # fmt: skip


def test_tallies_tell_what_was_forwarded_given_up_and_still_waits(tmp_path: Path) -> None:
    with core(tmp_path) as outbox, reader(tmp_path) as opened:
        for n in range(4):
            commit(outbox, row(n), row(n), row(n, "cold"))
        damage(tmp_path, "delete from chunk where fact = 'warm' and first = 5")
        damage(tmp_path, "insert into lost values (1, 'warm', 5, 6, 'shed', 2, 0)")
        damage(tmp_path, "insert into tally values ('warm', 'shed', 2)")
        assert opened.tallies() == (
            Tally("cold", 4, {}, 4, 0), Tally("warm", 8, {"shed": 2}, 6, 0),
        )  # fmt: skip
        epoch = outbox.epoch
        known = Mark("warm", "t", 0, 1, epoch.counter, epoch.nonce, 5)
        (tmp_path / "marks").write_bytes(Marks("n1", (known,)).encode())
        assert opened.tallies()[1] == Tally("warm", 8, {"shed": 2}, 2, 0)
        other = Mark("warm", "t", 0, 1, epoch.counter, epoch.nonce ^ 1, 5)
        (tmp_path / "marks").write_bytes(Marks("n1", (other,)).encode())
        assert opened.tallies()[1].waiting == 6, "another disk's mark says nothing of these rows"


def test_rows_that_a_restored_lake_lacks_and_nobody_has_are_counted_once(tmp_path: Path) -> None:
    with core(tmp_path, now=2 * DAY) as outbox, reader(tmp_path) as opened:
        for n in range(4):
            commit(outbox, row(n))
        epoch = outbox.epoch

        def heard(generation: int, seq: int) -> None:
            marks = Marks("n1", (Mark("warm", "t", generation, 1, epoch.counter, epoch.nonce, seq),))
            outbox._now = lambda: 4 * DAY
            outbox.forget(marks)

        heard(0, 3)
        heard(1, 1)
        heard(1, 1)
        heard(2, 1)
        assert spans(segments(opened, after=(1, 1))) == [(1, 2, 3, "forgotten"), (1, 4, 4, None)]
        (tally,) = opened.tallies()
        assert (tally.forwarded, tally.discarded) == (4, {"forgotten": 2})
