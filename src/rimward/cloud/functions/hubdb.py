"""hub.db as cloud functions, forwards and commands have it: its tables, opened and brought up to date."""

import os
import sqlite3
from pathlib import Path

from rimward.cloud.store import connect
from rimward.wire import Epoch

SCHEMA = """
create table if not exists fence (only integer primary key check (only = 1), token integer not null);
create table if not exists function_offset (
  function text primary key, table_id text not null, version integer not null, part integer not null
) without rowid;
create table if not exists place (
  function text, node text, lane text, version integer not null, primary key (function, node, lane)
) without rowid;
create table if not exists parked (
  id integer primary key, function text not null, key text not null, row blob not null,
  tries integer not null, due integer not null, at integer not null, reason text
);
create index if not exists parked_in_order on parked (function, key, id);
create table if not exists function_cell (
  space text, key text, value blob not null, at integer not null, primary key (space, key)
) without rowid;
create table if not exists hub_epoch (counter integer primary key, nonce integer not null);
create table if not exists hub_lane (table_name text primary key, last integer not null) without rowid;
create table if not exists hub_before (
  counter integer, table_name text, last integer not null, primary key (counter, table_name)
) without rowid;
create table if not exists hub_row (
  table_name text, seq integer, schema text not null, priority text not null, event text not null,
  trace blob, at integer not null, body blob not null, primary key (table_name, seq)
) without rowid;
create table if not exists command (
  number integer primary key autoincrement, node text not null, key text not null, device text not null,
  name text not null, payload blob not null, created integer not null, expires integer not null,
  timeout real not null, idempotent integer not null, function text not null, event text not null,
  store text, outcome text, detail text, reply blob, ended integer, told integer not null default 0,
  unique (node, key)
);
create index if not exists command_open on command (node, number) where outcome is null;
create table if not exists node_store (node text primary key, store text not null) without rowid;
create table if not exists hub_id (only integer primary key check (only = 1), id text not null);
"""
DEAD_COLUMNS = {"lane": "text", "row": "blob"}


def open_journal(path: Path) -> sqlite3.Connection:
    """Open hub.db with the tables of this module; those of an older version are brought up to date."""
    db = connect(path)
    db.executescript(SCHEMA)
    known = {row[1] for row in db.execute("pragma table_info(dead_function)")}
    for name, type_ in DEAD_COLUMNS.items():
        if name not in known:
            try:
                db.execute(f"alter table dead_function add column {name} {type_}")
            except sqlite3.OperationalError as error:  # another process was faster
                if "duplicate column" not in str(error):
                    raise
    db.execute("insert or ignore into hub_id values (1, ?)", (os.urandom(8).hex(),))
    return db


def epoch_of(db: sqlite3.Connection) -> Epoch | None:
    """Return the epoch in which forwards of functions are numbered; None before the first worker."""
    row = db.execute("select counter, nonce from hub_epoch").fetchone()
    return None if row is None else Epoch(*row)


def hub_id(db: sqlite3.Connection) -> str:
    """Return the id of this store: another one after it was made anew."""
    return db.execute("select id from hub_id").fetchone()[0]
