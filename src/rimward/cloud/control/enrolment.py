"""The hub's book of nodes: join strings that are good once, and who was let in with them.

A string is burned in the transaction that writes its node down, with the hash of the key that asked: whoever
did not hear the answer asks again with the same key and is told the same (GUARANTEES §7). Only a digest of a
string's secret is kept.
"""

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from rimward.events import RimwardError
from rimward.network.nkeys import is_public, verify
from rimward.observe.failpoints import reach
from rimward.observe.transactions import transaction
from rimward.wire.joining import NAME_RULE, JoinRequest, Refused, is_node_name, signed

SCHEMA = """
create table if not exists token (
  digest blob primary key, site text not null, made integer not null, expires integer not null,
  burned integer, key_digest blob
) without rowid;
create table if not exists node (
  name text primary key, key text not null unique, site text not null, joined integer not null,
  revoked integer
) without rowid;
create table if not exists clock (one integer primary key check (one = 1), latest integer not null);
pragma user_version = 1;
"""
TOKENS = 10_000  # join strings that are kept; the oldest that can't be used any more go first
NODES = 10_000
SECRET_BYTES = 32
LIFETIMES = (1.0, 30 * 86_400.0)  # seconds; a string that is good for longer will be found by somebody
_FIELDS = "name, key, site, joined, revoked"


class EnrolmentError(RimwardError):
    """What was asked of the book can't be done; the message says why and what would."""

    code = "enrolment"


class JoinRefused(RimwardError):
    """A node is not let in."""

    code = "join-refused"

    def __init__(self, why: Refused, sentence: str) -> None:
        super().__init__(sentence)
        self.why: Refused = why


class Enrolled(Struct, frozen=True):
    """A node that was let in; times are wall ns."""

    name: str
    key: str  # its public nkey
    site: str
    joined: int
    revoked: int | None = None


class Enrolments:
    """The file DATA/hub/enrol.db; several processes may have it open."""

    def __init__(self, path: Path, now: Callable[[], int] = time.time_ns) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._now = now
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def issue(self, site: str, lifetime: float) -> tuple[str, int]:
        """Make a join string's secret, good once and for `lifetime` seconds; return it and its end, wall ns.

        Raises:
            EnrolmentError: the lifetime is not one, or too many strings are open.
        """
        least, most = LIFETIMES
        if not least <= lifetime <= most:
            raise EnrolmentError(
                f"a join string lives {least:g} s to {most / 86_400:g} days, not {lifetime:g} s"
            )
        secret = secrets.token_urlsafe(SECRET_BYTES)
        with transaction(self._db):
            now = self._clock()
            self._make_room(now)
            expires = now + round(lifetime * 1e9)
            self._db.execute(
                "insert into token (digest, site, made, expires) values (?, ?, ?, ?)",
                (_digest(secret), site, now, expires),
            )
        return secret, expires

    def join(self, request: JoinRequest) -> Enrolled:
        """Let a node in, or tell the one that was let in with this string and key again.

        Raises:
            JoinRefused: it may not come in.
        """
        _check(request)
        digest, key_digest = _digest(request.secret), _digest(f"{request.name}\n{request.key}")
        with transaction(self._db):
            now = self._clock()
            token = self._db.execute(
                "select site, expires, burned, key_digest from token where digest = ?", (digest,)
            ).fetchone()
            if token is None:
                raise JoinRefused("unknown", "no such join string was made here: ask for a new one")
            site, expires, burned, burned_with = token
            if burned is not None:
                if burned_with != key_digest or (known := self._node(request.name, request.key)) is None:
                    raise JoinRefused("used", "the join string was used already: ask for a new one")
                return known
            if now >= expires:
                raise JoinRefused("expired", "the join string's time is over: ask for a new one")
            self._db.execute(
                "update token set burned = ?, key_digest = ? where digest = ?", (now, key_digest, digest)
            )
            node = Enrolled(request.name, request.key, site, now)
            self._add(node)
        reach("enrol.burned")
        return node

    def nodes(self, *, revoked: bool = False) -> list[Enrolled]:
        """Return the nodes that may come in, by name; with `revoked` also those that may no more."""
        where = "" if revoked else "where revoked is null"
        rows = self._db.execute(f"select {_FIELDS} from node {where} order by name")  # noqa: S608 -- our own words
        return [Enrolled(*row) for row in rows]

    def revoke(self, name: str) -> None:
        """Let a node in no more; its name is free for another key.

        Raises:
            EnrolmentError: no node of this name may come in.
        """
        with transaction(self._db):
            self._need(name)
            self._db.execute("update node set revoked = ? where name = ?", (self._clock(), name))

    def version(self) -> tuple[int, int]:
        """Return what changes whenever anybody has changed the book."""
        return self._db.execute("pragma data_version").fetchone()[0], self._db.total_changes

    def _need(self, name: str) -> None:
        known = [node.name for node in self.nodes()]
        if name not in known:
            names = ", ".join(known[:8]) or "there is none yet"
            raise EnrolmentError(f"there is no node {name!r} (known: {names}): rimward node list shows all")

    def _node(self, name: str, key: str) -> Enrolled | None:
        row = self._db.execute(
            f"select {_FIELDS} from node where name = ? and key = ? and revoked is null",  # noqa: S608 -- our own words
            (name, key),
        ).fetchone()
        return None if row is None else Enrolled(*row)

    def _add(self, node: Enrolled) -> None:
        others = self._db.execute(
            "select name, key, revoked from node where name = ? or key = ?", (node.name, node.key)
        ).fetchall()
        for name, key, revoked in others:
            if key == node.key:
                raise JoinRefused("taken", f"this key is that of the node {name!r}: join with a new one")
            if revoked is None:
                raise JoinRefused(
                    "taken", f"there is a node {name!r}: choose another name, or revoke that one first"
                )
        (count,) = self._db.execute("select count(*) from node where revoked is null").fetchone()
        if count >= NODES:
            raise JoinRefused("full", f"{count} nodes have joined, the limit is {NODES}: revoke some")
        self._db.execute(
            "insert or replace into node (name, key, site, joined) values (?, ?, ?, ?)",
            (node.name, node.key, node.site, node.joined),
        )

    def _make_room(self, now: int) -> None:
        (count,) = self._db.execute("select count(*) from token").fetchone()
        if count >= TOKENS:
            self._db.execute(
                "delete from token where digest in (select digest from token "
                "where burned is not null or expires <= ? order by made limit ?)",
                (now, count - TOKENS + TOKENS // 10),
            )
            (count,) = self._db.execute("select count(*) from token").fetchone()
        if count >= TOKENS:
            raise EnrolmentError(f"{count} join strings are open, the limit is {TOKENS}: wait until some end")

    def _clock(self) -> int:
        """Return the time, which never goes back here: a clock that was reset makes no old string good."""
        (latest,) = self._db.execute("select max(latest) from clock").fetchone()
        now = max(self._now(), latest or 0)
        self._db.execute(
            "insert into clock values (1, ?) on conflict (one) do update set latest = excluded.latest", (now,)
        )
        return now


def _check(request: JoinRequest) -> None:
    if not is_node_name(request.name):
        raise JoinRefused("invalid", f"a node's name is {NAME_RULE}: choose another")
    if not is_public(request.key):
        raise JoinRefused("invalid", "the key is no user's nkey (U…)")
    if not verify(request.key, request.signature, signed(request.secret, request.name, request.key)):
        raise JoinRefused("invalid", "the request is not signed by the key that it names")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
