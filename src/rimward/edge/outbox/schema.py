"""The outbox's tables, and how a file of an older form gets them."""

import os
import sqlite3

from rimward.observe.transactions import transaction

VERSION = 2  # `pragma user_version`; files from before it was kept say 0

SCHEMA = """
create table if not exists meta (key text primary key, value text not null) strict, without rowid;
create table if not exists epoch (counter integer primary key, nonce integer not null) strict;
create table if not exists lane (
  counter integer not null, fact text not null, last_seq integer not null,
  bytes integer not null default 0, priority text not null default 'normal', primary key (counter, fact)
) strict, without rowid;
create table if not exists settled (fact text primary key, rows integer not null) strict, without rowid;
create table if not exists chunk (
  counter integer not null, fact text not null, first integer not null, last integer not null,
  at integer not null, priority text not null, schema text not null,
  crc integer not null, body blob not null, ran integer not null default 0,
  primary key (counter, fact, first)
) strict, without rowid;
create table if not exists lost (
  counter integer not null, lane text not null, first integer not null, last integer not null,
  reason text not null, rows integer not null, at integer not null, primary key (counter, lane, first)
) strict, without rowid;
create table if not exists tally (
  lane text not null, cause text not null, rows integer not null, primary key (lane, cause)
) strict, without rowid;
create table if not exists keeping (
  fact text primary key, priority text not null, body text not null
) strict, without rowid;
create table if not exists cell (
  space text not null, key text not null, value blob not null, primary key (space, key)
) strict, without rowid;
create table if not exists dead (
  id integer primary key autoincrement, at integer not null, bytes integer not null, body blob not null
) strict;
"""
SMALL = ("meta", "epoch", "lane", "settled", "lost", "tally", "keeping")  # a look at all of them is cheap

_GROWN = """
alter table lane add column bytes integer not null default 0;
alter table lane add column priority text not null default 'normal';
alter table chunk add column ran integer not null default 0;
update lane set
  bytes = (select coalesce(sum(length(body)), 0) from chunk
    where chunk.counter = lane.counter and chunk.fact = lane.fact),
  priority = coalesce((select priority from chunk
    where chunk.counter = lane.counter and chunk.fact = lane.fact order by first desc limit 1), 'normal');
"""
_FORWARDED = """
insert or ignore into tally
select fact, 'forwarded', sum(rows) from (
  select fact, last_seq as rows from lane union all select fact, rows from settled
) group by fact;
"""


def prepare(db: sqlite3.Connection) -> None:
    """Give a file the tables of this version, in one transaction.

    What an older file has forwarded is what its lanes and their sums say.
    """
    if db.execute("pragma user_version").fetchone()[0] == VERSION:
        return
    with transaction(db):
        old = db.execute("select 1 from pragma_table_info('lane')").fetchone() is not None
        steps = (_GROWN if old else "") + SCHEMA + (_FORWARDED if old else "")
        for step in filter(str.strip, steps.split(";")):
            db.execute(step)
        db.execute("insert or ignore into meta values ('id', ?)", (os.urandom(16).hex(),))
        db.execute(f"pragma user_version={VERSION}")
