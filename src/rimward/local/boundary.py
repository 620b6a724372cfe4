"""What runs where, what crosses to the cloud, and how much that is a day: computed from the manifest."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from rimward.app.cron import parse
from rimward.app.manifest import Column, FactSpec, FunctionSpec, Manifest
from rimward.edge.access.file import AccessFile
from rimward.edge.access.unbound import loose_captures
from rimward.edge.sizes import FactSize
from rimward.events import seconds

DAY = 86_400
SHORTEST = 10.0  # seconds of figures from which a day can be told at all
ROW = 40  # bytes of number, event id, times and trace that each row has beside its fact
SIZES = {
    "bool": 1,
    "int64": 5,
    "float64": 9,
    "timestamp": 12,
    "date": 6,
    "string": 12,
    "binary": 64,
    "json": 48,
}


class Flow(Struct, frozen=True):
    """One fact on its way across; figures are before compression."""

    fact: str
    table: str
    priority: str
    label: str | None  # locality; None crosses anywhere
    sources: tuple[str, ...]  # functions and streams that forward it, or name it
    readers: tuple[str, ...]  # cloud functions that its rows run
    row_bytes: int
    rows_a_day: float
    bytes_a_day: float


class Unbound(Struct, frozen=True, omit_defaults=True):
    """Captures that a sender writes as it likes, for nothing compares them with who it is."""

    path: str
    captures: tuple[str, ...]
    functions: tuple[str, ...]
    file: str
    line: int
    rules: tuple[str, ...] = ()  # of the access file that let it in, each with its place


class Boundary(Struct, frozen=True):
    """All of it."""

    app: str
    functions: tuple[FunctionSpec, ...]
    flows: tuple[Flow, ...]
    basis: str  # how the figures were found
    unbound: tuple[Unbound, ...]


def boundary(
    manifest: Manifest,
    *,
    rate: float | None,
    devices: int,
    recorded: Iterable[FactSize] = (),
    access: AccessFile | None = None,
) -> Boundary:
    """Return an app's boundary, with figures for `rate` messages a second of each trigger, or as recorded.

    With an access file captures are bound to who sends, where no rule of it leaves them open.
    """
    sizes = {size.fact: size for size in recorded if size.seconds >= SHORTEST}
    if rate is None and sizes:
        span = max(size.seconds for size in sizes.values())
        basis = f"recorded: what the outbox took in {_span(span)}, as if it went on like that for a day"
        flows = [_flow(manifest, fact, *_recorded(fact, sizes)) for fact in manifest.facts]
    else:
        rate = 1.0 if rate is None else rate
        each = "1 message" if rate == 1 else f"{rate:g} messages"
        many = "1 device" if devices == 1 else f"{devices:,} devices"
        basis = (
            f"at most, estimated from the types, for {each} a second of each trigger and {many}: "
            "a function forwards a fact that it names once a message, a window once a device, "
            "a timer as often as messages start one"
        )
        flows = [_flow(manifest, fact, *_estimated(manifest, fact, rate, devices)) for fact in manifest.facts]
    return Boundary(manifest.app, manifest.functions, tuple(flows), basis, tuple(_unbound(manifest, access)))


def _flow(manifest: Manifest, fact: FactSpec, row_bytes: float, rows: float) -> Flow:
    functions = manifest.functions
    return Flow(
        fact.name,
        fact.table,
        fact.priority,
        fact.locality,
        tuple(one.name for one in functions if fact.table in one.forwards),
        tuple(one.name for one in functions if one.layer == "cloud" and fact.table in one.facts),
        round(row_bytes),
        rows,
        rows * row_bytes,
    )


def _recorded(fact: FactSpec, sizes: dict[str, FactSize]) -> tuple[float, float]:
    size = sizes.get(fact.table)
    if size is None:
        return _row_bytes(fact), 0.0
    return size.bytes / size.rows, size.rows / size.seconds * DAY


def _estimated(manifest: Manifest, fact: FactSpec, rate: float, devices: int) -> tuple[float, float]:
    streams = {one.name: one for one in manifest.functions if one.layer == "stream"}
    sources = [one for one in manifest.functions if fact.table in one.forwards]
    return _row_bytes(fact), DAY * sum(_rate(one, streams, rate, devices) for one in sources)


def _rate(one: FunctionSpec, streams: dict[str, FunctionSpec], rate: float, devices: int) -> float:
    """Return how often a second a function runs, or a stream tells something."""
    if one.layer == "stream":
        if one.protocol is None:
            taken = {*one.behind} & {*one.trigger.split(" + ")}  # what comes too late is not counted on
            rate = sum(_rate(streams[name], streams, rate, devices) for name in taken)
        return rate if one.window is None else min(rate, devices / one.window)
    if one.trigger in streams:
        return _rate(streams[one.trigger], streams, rate, devices)
    kind, _, rest = one.trigger.partition("(")
    if kind == "every":
        return 1 / seconds(rest.strip('")'))
    if kind == "cron":
        return parse(rest.split('"')[1]).a_day / DAY
    return rate if one.protocol is not None or kind == "timer" else 0.0  # a message starts one timer at most


def _row_bytes(fact: FactSpec) -> int:
    return ROW + sum(_column_bytes(column) for column in fact.columns)


def _column_bytes(column: Column) -> int:
    if column.type.startswith("list<"):
        return 8 * SIZES.get(column.type[5:-1], 12)
    return SIZES.get(column.type, 12)


def _unbound(manifest: Manifest, access: AccessFile | None) -> list[Unbound]:
    found: dict[str, list[FunctionSpec]] = {}
    rules: dict[str, list[str]] = {}
    for one in loose_captures(access, manifest.functions) if access is not None else ():
        rules.setdefault(one.path, []).append(f"{one.rule} {one.pattern}")
    for one in manifest.functions:
        if one.path is not None and one.captures and not one.identity:
            found.setdefault(one.path, []).append(one)
    return [
        Unbound(
            path,
            tuple(capture.name for capture in functions[0].captures),
            tuple(one.name for one in functions),
            functions[0].file,
            functions[0].line,
            tuple(rules.get(path, ())),
        )
        for path, functions in found.items()
        if access is None or path in rules
    ]


def amount(size: float) -> str:
    """Return bytes in words."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} B"


def plain(found: Boundary) -> dict[str, Any]:
    """Return the boundary for JSON, with the names of API.md."""
    return {
        "app": found.app,
        "basis": found.basis,
        "functions": [
            {"name": one.name, "layer": one.layer, "trigger": one.trigger, "budget": one.budget,
             "reply": one.reply, "forwards": one.forwards, "file": one.file, "line": one.line}
            for one in found.functions
        ],
        "crossing": found.flows,
        "unbound": found.unbound,
    }  # fmt: skip


def _span(seconds_: float) -> str:
    for unit, size in (("d", DAY), ("h", 3600), ("min", 60)):
        if seconds_ >= 2 * size:
            return f"{seconds_ / size:.1f} {unit}"
    return f"{seconds_:.0f} s"
