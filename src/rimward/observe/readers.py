"""Reading a node's trace file from another process; a file that is missing or damaged reads as empty."""

from pathlib import Path

import msgspec

from rimward.events import RimwardError
from rimward.observe.records import Snapshot, Trace
from rimward.observe.store import TraceReader

_HEX = frozenset("0123456789abcdef")


class AmbiguousTrace(RimwardError):
    """More than one trace id begins so."""

    code = "ambiguous-trace"


def read_snapshot(path: Path) -> Snapshot | None:
    """Return the newest figures, or None where nothing was written yet."""
    rows = TraceReader(path).rows("SELECT body FROM snapshot")
    return msgspec.msgpack.decode(rows[0][0], type=Snapshot) if rows else None


def read_trace(path: Path, wanted: str) -> Trace | None:
    """Return the newest trace of an id, of an id's unique beginning, or of `last`; None where there is none.

    Raises:
        AmbiguousTrace: several ids begin with `wanted`.
    """
    if wanted == "last":
        found = recent_traces(path, 1)
        return found[0] if found else None
    prefix = wanted.lower()
    if not prefix or len(prefix) > 32 or not set(prefix) <= _HEX:
        return None
    reader, span = TraceReader(path), (prefix, prefix + "g")
    ids = reader.rows("SELECT DISTINCT id FROM trace WHERE id >= ? AND id < ? LIMIT 2", span)
    if ids and len(ids) > 1:
        raise AmbiguousTrace(f"trace {wanted}: several ids begin so, give more of its 32 digits")
    rows = reader.rows("SELECT body FROM trace WHERE id >= ? AND id < ? ORDER BY seq DESC LIMIT 1", span)
    return msgspec.msgpack.decode(rows[0][0], type=Trace) if rows else None


def recent_traces(path: Path, n: int) -> list[Trace]:
    """Return the newest `n` traces, newest first."""
    rows = TraceReader(path).rows("SELECT body FROM trace ORDER BY seq DESC LIMIT ?", (n,))
    decoder = msgspec.msgpack.Decoder(Trace)
    return [decoder.decode(body) for (body,) in rows or []]
