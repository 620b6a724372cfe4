"""The hub's own file: a log of envelopes, offsets of cloud functions, and what they could not do."""

import sqlite3
from pathlib import Path

SCHEMA = """
create table if not exists envelope (
  node text, counter integer, nonce integer, fact text, first integer, last integer, sealed_at integer,
  received_at integer, committed_at integer, version integer,
  primary key (node, counter, fact, first)
) without rowid;
create table if not exists position (
  function text, node text, version integer, primary key (function, node)
) without rowid;
create table if not exists dead_function (
  id integer primary key, at integer, function text, node text, counter integer, seq integer, reason text
);
create table if not exists counter (name text primary key, value integer not null);
"""
ENVELOPES_KEPT = 100_000


def connect(path: Path) -> sqlite3.Connection:
    """Open hub.db."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.executescript(SCHEMA)
    return db
