"""A file of an older form opens, and nothing in it is lost."""

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import msgspec

from rimward.edge.deep.reader import OutboxReader
from rimward.wire import Row

from .outbox_support import commit, core, query, row, rows, tallies

OLD = """
create table epoch (counter integer primary key, nonce integer not null) strict;
create table lane (
  counter integer not null, fact text not null, last_seq integer not null, primary key (counter, fact)
) strict, without rowid;
create table settled (fact text primary key, rows integer not null) strict, without rowid;
create table chunk (
  counter integer not null, fact text not null, first integer not null, last integer not null,
  at integer not null, priority text not null, schema text not null,
  crc integer not null, body blob not null, primary key (counter, fact, first)
) strict, without rowid;
create table cell (
  space text not null, key text not null, value blob not null, primary key (space, key)
) strict, without rowid;
create table dead (
  id integer primary key autoincrement, at integer not null, bytes integer not null, body blob not null
) strict;
insert into epoch values (3, 99);
insert into lane values (3, 'warm', 7), (3, 'cold', 2);
insert into settled values ('warm', 40);
insert into cell values ('s', 'k', x'76');
"""


def test_an_older_file_keeps_its_rows_and_its_sums(tmp_path: Path) -> None:
    encode = msgspec.msgpack.Encoder().encode
    with closing(sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)) as db:
        db.execute("pragma journal_mode=wal")
        db.executescript(OLD)
        for seq in (6, 7):
            body = encode(Row(seq, 1, "e", None, "unsynced", False, None, (seq,)))
            db.execute(
                "insert into chunk values (3, 'warm', ?, ?, 5, 'bulk', 's', ?, ?)",
                (seq, seq, zlib.crc32(body), body),
            )
    with core(tmp_path) as outbox:
        assert outbox.epoch.counter == 4
        assert outbox.load() == {"s": {"k": b"v"}}
        assert outbox.held == query(tmp_path, "select sum(length(body)) from chunk")[0][0]
        assert outbox.stock.classes["bulk"] == outbox.held
        commit(outbox, row("new"))
        assert tallies(tmp_path) == {"cold": {"forwarded": 2}, "warm": {"forwarded": 48}}
    assert [(counter, seq) for counter, _, seq, _ in rows(tmp_path)] == [(3, 6), (3, 7), (4, 1)]
    with core(tmp_path):
        assert tallies(tmp_path)["warm"] == {"forwarded": 48}, "it is counted once"


def test_each_new_file_has_an_id_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    ids: list[str] = []
    for name in ("a", "b", "a"):
        (tmp_path / name).mkdir(exist_ok=True)
        with core(tmp_path / name), closing(OutboxReader(tmp_path / name / "outbox.db", "n")) as reader:
            ids.append(reader.outbox_id())
    assert ids[0] == ids[2] != ids[1]
    assert len(ids[0]) == 32
