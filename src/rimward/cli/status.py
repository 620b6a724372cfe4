"""`rimward status`: processes, ports, functions, and what waits on its way to the lake."""

import argparse
from typing import Any

from rimward.cli.data import folder_of, read_json, running
from rimward.cli.output import json_line, span, table
from rimward.cli.parsing import Parser
from rimward.local.folder import DataFolder, alive
from rimward.observe import FunctionStats, Histogram, Snapshot, read_snapshot

PROCESSES = ("supervisor", "node", "deep", "hub", "bus")
GATEWAYS = ("mqtt", "http", "coap", "sip", "console")
EXAMPLES = """\
examples:
  rimward status
  rimward status --json --data /tmp/try
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Print how a running `rimward dev` is."""
    folder = folder_of(options.data)
    status = collect(folder)
    if options.json:
        json_line(status)
    else:
        _show(status)
    return 0


def collect(folder: DataFolder) -> dict[str, Any]:
    """Return everything that is known about a running `rimward dev`.

    Raises:
        CommandError: none runs in the folder.
    """
    dev = running(folder)
    ready, processes = dev["ready"], read_json(folder.processes)
    for process in processes.values():
        process["pid"] = process["pid"] if process["pid"] and alive(process["pid"]) else None
    snapshot = read_snapshot(folder.traces)
    return {
        "app": dev.get("app"),
        "data": str(folder.root),
        "ports": {name: ready.get(name) for name in GATEWAYS},
        "link": dev.get("link"),
        "pids": {"dev": dev["pid"]} | {name: processes.get(name, {}).get("pid") for name in PROCESSES},
        "processes": processes,
        "functions": {} if snapshot is None else _functions(snapshot),
        "gateways": {} if snapshot is None else snapshot.gateways,
        "counters": {} if snapshot is None else snapshot.counters,
        "outbox": {} if snapshot is None else snapshot.outbox,
        "health": {} if snapshot is None else snapshot.health,
        "uplink": read_json(folder.uplink) or None,
        "hub": _hub(folder),
    }


def _functions(snapshot: Snapshot) -> dict[str, Any]:
    return {name: _figures(stats) for name, stats in snapshot.functions.items()}


def _figures(stats: FunctionStats) -> dict[str, Any]:
    stages: dict[str, dict[str, float]] = {}
    for stage, sparse in stats.stages.items():
        histogram = Histogram.from_sparse(sparse)
        if histogram.count:
            stages[stage] = {f"p{p}_ms": histogram.percentile(p) / 1e6 for p in (50, 99)}
    return {
        "calls": stats.calls,
        "errors": stats.errors,
        "overruns": stats.overruns,
        "budget_ms": None if stats.budget is None else stats.budget * 1e3,
        "stages": stages,
    }


def _hub(folder: DataFolder) -> dict[str, Any] | None:
    try:
        from rimward.cloud.api import hub_status
    except ImportError:  # without the cloud extra there is no hub
        return None
    return dict(hub_status(folder.root)) or None


def _show(status: dict[str, Any]) -> None:
    ports = ", ".join(f"{name} {port}" for name, port in status["ports"].items() if port is not None)
    print(f"{status['app']} on 127.0.0.1: {ports}\n")
    table(
        ["process", "pid", "state", "restarts"],
        [[name, one["pid"], one["state"], one["restarts"]] for name, one in status["processes"].items()],
    )
    if functions := status["functions"]:
        print()
        head = ["function", "calls", "errors", "over budget", "budget", "p50", "p99"]
        table(head, [_function_row(name, one) for name, one in functions.items()])
    print()
    outbox, uplink, hub = status["outbox"], status["uplink"], status["hub"]
    if outbox:
        print(
            f"outbox  {outbox.get('rows', 0):,.0f} rows since the start, "
            f"{outbox.get('bytes', 0) / 1e6:,.1f} MB kept, {outbox.get('dead_letters', 0):,.0f} dead letters"
        )
    if uplink:
        state = f"connected, {uplink.get('rtt_ms', 0):.2f} ms" if uplink.get("connected") else "not connected"
        print(f"uplink  {state}")
    if hub:
        print("hub     " + ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in hub.items()))
    for part, wrong in status["health"].items():
        print(f"WRONG   {part}: {wrong}")


def _function_row(name: str, one: dict[str, Any]) -> list[Any]:
    own: dict[str, float] = one["stages"].get("total") or one["stages"].get("function") or {}
    times = [span(own[key] * 1e6) if key in own else None for key in ("p50_ms", "p99_ms")]
    budget = None if one["budget_ms"] is None else span(one["budget_ms"] * 1e6)
    return [name, one["calls"], one["errors"], one["overruns"], budget, *times]
