# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""What the cloud's tests share: a small lake's facts, envelopes, and what its tables hold."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deltalake import DeltaTable

from rimward.app.manifest import Column, FactSpec
from rimward.cloud.ingest.core import Envelope, Ingest
from rimward.wire import Epoch, Header, Lane, Row, encode, transaction_version

WARM = FactSpec("Warm", "warm", "normal", None, (Column("n", "int64"), Column("note", "string")), "print-1")
COLD = FactSpec("Cold", "cold", "bulk", None, (Column("n", "int64"),), "print-2")
NOW = 1_795_000_000_000_000_000


def ingest(folder: Path, *facts: FactSpec) -> Ingest:
    return Ingest(folder / "lake", facts or (WARM, COLD), lambda: NOW)


def row(seq: int, *values: Any) -> Row:
    return Row(seq, NOW, f"e-{seq}", None, "unsynced", replayed=False, trace=None, values=values)


def envelope(
    first: int,
    last: int,
    epoch: tuple[int, int] = (1, 0xA),
    *,
    node: str = "n1",
    fact: FactSpec = WARM,
    lost: str | None = None,
    prior: tuple[int, int, int] | None = None,
    values: Sequence[Any] | None = None,
    instead: dict[int, Row] | None = None,
    lane: str | None = None,
    site: str = "local",
) -> Envelope:
    """Return rows `first` to `last`; `prior` is (counter, seq, nonce) of the epoch before.

    `instead` has other rows for some of them.
    """
    one = values if values is not None else ("x",) * (len(fact.columns) - 1)
    other = instead or {}
    rows = [] if lost else [other.get(seq) or row(seq, seq, *one) for seq in range(first, last + 1)]
    before = (0, 0) if prior is None else (transaction_version(*prior[:2]), prior[2])
    header = Header(
        fact.fingerprint,
        fact.priority,
        first,
        last,
        5,
        site,
        lost=lost,
        prior=before[0],
        prior_nonce=before[1],
    )
    name = fact.table if lane is None else lane
    return Envelope(Lane(node, Epoch(*epoch), name), header, msgspec.msgpack.encode(rows), NOW)


def sealed(one: Envelope) -> bytes:
    return encode(one.header, msgspec.msgpack.decode(one.rows, type=list[Row]))


def table(folder: Path, name: str = "warm") -> list[dict[str, Any]]:
    rows: Any = DeltaTable(str(folder / "lake" / name)).to_pyarrow_dataset().to_table().to_pylist()
    return sorted(rows, key=lambda one: (one["_node"], one["_epoch"], one.get("_seq", one.get("first", 0))))


def places(folder: Path, name: str = "warm") -> list[tuple[str, int, int]]:
    return [(one["_node"], one["_epoch"], one["_seq"]) for one in table(folder, name)]


def numbers(*spans: tuple[int, int, int], node: str = "n1") -> list[tuple[str, int, int]]:
    """Return (node, counter, seq) of spans (counter, first, last)."""
    return [(node, counter, seq) for counter, first, last in spans for seq in range(first, last + 1)]


class Disk:
    """Which files were on stable storage when, by the calls that put them there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[Path] = []
        self.fail = False
        real = os.fsync

        def fsync(fd: int) -> None:
            if self.fail:
                raise OSError(5, "Input/output error")
            self.synced.append(Path(f"/proc/self/fd/{fd}").readlink())
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)
