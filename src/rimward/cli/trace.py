"""`rimward trace ID|last`: one event's way from the device's packet to its row, in times after the packet."""

import argparse
from typing import Any

from msgspec import Struct

from rimward.cli.data import folder_of
from rimward.cli.output import json_line, span, table
from rimward.cli.parsing import CommandError, Parser
from rimward.local.folder import DataFolder
from rimward.local.text import printable
from rimward.observe import RowRef, Trace, read_trace, recent_traces

CLOCK = "all processes of rimward dev read one clock, the machine's"
RECENT = 500  # traces looked through for one that made a row
EXAMPLES = """\
examples:
  rimward trace last
  rimward trace 4bf92f35
  rimward trace last --json

ID is a trace's 32 digits or their beginning. `last` is the newest event that was kept and made a row; where
none did, the newest. Kept are events that failed or were over their budget, and samples of the others.
"""


class Step(Struct, frozen=True):
    """One part of the way; ns after the first bytes of the device's packet were read."""

    layer: str  # "node" or "cloud"
    name: str
    start: int
    end: int


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("id", metavar="ID", help="a trace's id, its beginning, or last")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Print the way of one event."""
    folder = folder_of(options.data)
    trace = _find(folder, options.id)
    rows = [_row(folder, trace, row) for row in trace.rows]
    steps = in_order([*_node_steps(trace), *(step for row in rows for step in row["steps"])])
    if options.json:
        json_line(_json(trace, rows, steps))
    else:
        _show(trace, rows, steps)
    return 0


def in_order(steps: list[Step]) -> list[Step]:
    """Return the steps with no time before the packet, and no end before its start."""
    straight: list[Step] = []
    for step in steps:
        start = max(0, step.start)
        straight.append(Step(step.layer, step.name, start, max(start, step.end)))
    return straight


def _find(folder: DataFolder, wanted: str) -> Trace:
    if wanted == "last":
        recent = recent_traces(folder.traces, RECENT)
        found = next((trace for trace in recent if trace.rows), recent[0] if recent else None)
    else:
        found = read_trace(folder.traces, wanted)
    if found is None:
        raise CommandError(
            "no event was kept yet: send one to the node"
            if wanted == "last"
            else f"no trace that was kept begins with {wanted!r}: rimward trace last shows the newest"
        )
    return found


def _node_steps(trace: Trace) -> list[Step]:
    return [Step("node", stage.name, stage.start - trace.at, stage.end - trace.at) for stage in trace.stages]


def _row(folder: DataFolder, trace: Trace, row: RowRef) -> dict[str, Any]:
    """Return a row with the steps of the envelope that brought it, none while it waits."""
    found: dict[str, Any] = {
        "fact": row.fact,
        "epoch": row.epoch,
        "seq": row.seq,
        "version": None,
        "steps": [],
    }
    try:
        from rimward.cloud.api import envelopes_for
    except ImportError:  # without the cloud extra nothing is stored here
        return found
    counter = int(row.epoch.partition("-")[0])
    envelope = envelopes_for(folder.root, trace.node, counter, row.fact, row.seq)
    if envelope is not None:
        sealed, received, committed = (
            at - trace.at for at in (envelope.sealed_at, envelope.received_at, envelope.committed_at)
        )
        found["version"] = envelope.version
        found["steps"] = [
            Step("node", f"outbox {row.fact}", max((s.end for s in _node_steps(trace)), default=0), sealed),
            Step("cloud", f"uplink {row.fact}", sealed, received),
            Step("cloud", f"hub {row.fact}", received, committed),
            Step("cloud", f"row visible {row.fact}", committed, committed),
        ]
    return found


def _json(trace: Trace, rows: list[dict[str, Any]], steps: list[Step]) -> dict[str, Any]:
    return {
        "id": trace.id,
        "node": trace.node,
        "function": trace.function,
        "source": trace.source,
        "sender": trace.sender,
        "at": trace.at,
        "actions": trace.actions,
        "error": trace.error,
        "over_budget": trace.over_budget,
        "rows": [{key: value for key, value in row.items() if key != "steps"} for row in rows],
        "stages": [
            {"layer": step.layer, "name": step.name, "start_ns": step.start, "end_ns": step.end}
            for step in steps
        ],
        "clock": CLOCK,
    }


def _show(trace: Trace, rows: list[dict[str, Any]], steps: list[Step]) -> None:
    print(f"trace {trace.id}")
    print(f"{printable(trace.source)} from {printable(trace.sender)} on {trace.node}\n")
    first = ["device", "packet", "0", ""]
    lines = [[step.layer, step.name, span(step.start), span(step.end - step.start)] for step in steps]
    table(["layer", "stage", "after the packet", "took"], [first, *lines])
    print()
    if trace.actions:
        print(f"actions to devices: {trace.actions}")
    for row in rows:
        where = "waits, not in the lake yet" if row["version"] is None else f"in version {row['version']}"
        print(f"row {row['fact']} {row['epoch']} {row['seq']}: {where}")
    if trace.error or trace.over_budget:
        print(printable(trace.error or "over its budget"))
    print(f"clock: {CLOCK}")
