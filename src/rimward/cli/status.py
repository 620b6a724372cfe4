"""`rimward status`: processes, ports, functions, and what waits on its way to the lake."""

import argparse
import time
from typing import Any

from msgspec import to_builtins

from rimward.cli.data import folder_of, read_json, running
from rimward.cli.output import json_line, span, table
from rimward.cli.parsing import Parser
from rimward.cli.seeing import processes_of, seen_of
from rimward.console.history import History
from rimward.console.judge import problems, silences
from rimward.events import from_ns
from rimward.local.folder import DataFolder
from rimward.observe import FunctionStats, Histogram, Snapshot, read_snapshot
from rimward.observe.faults import Faults
from rimward.observe.life import is_ingest

PROCESSES = ("supervisor", "node", "deep", "hub", "ingest", "bus")
GATEWAYS = ("mqtt", "http", "coap", "sip", "console")
UNDER_WAY = 2.0  # seconds that rows may be on their way before they count as a backlog
LITTLE = 50  # rows a second, at least
EXAMPLES = """\
examples:
  rimward status
  rimward status --json --data /tmp/try

The exit code is 1 if something is grave: a process gives no sign of life, the outbox is broken or full.
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
    return 1 if any(problem["grave"] for problem in status["problems"]) else 0


def collect(folder: DataFolder) -> dict[str, Any]:
    """Return everything that is known about a running `rimward dev`.

    Raises:
        CommandError: none runs in the folder.
    """
    dev = running(folder)
    ready, processes = dev["ready"], processes_of(folder)
    snapshot = read_snapshot(folder.traces)
    seen = seen_of(folder, snapshot, processes)
    for name, silent in silences(seen).items():
        processes[name]["state"], processes[name]["silent_s"] = "silent", round(silent, 1)
    names = dict.fromkeys((*PROCESSES, *filter(is_ingest, processes)))
    return {
        "app": dev.get("app"),
        "data": str(folder.root),
        "ports": {name: ready.get(name) for name in GATEWAYS},
        "link": dev.get("link"),
        "pids": {"dev": dev["pid"]} | {name: processes.get(name, {}).get("pid") for name in names},
        "processes": processes,
        "functions": {} if snapshot is None else _functions(snapshot),
        "firings": {} if snapshot is None else _firings(snapshot),
        "gateways": {} if snapshot is None else snapshot.gateways,
        "counters": {} if snapshot is None else snapshot.counters,
        "outbox": {} if snapshot is None else snapshot.outbox,
        "health": {} if snapshot is None else snapshot.health,
        "workers": {} if snapshot is None else to_builtins(snapshot.workers),
        "confinement": {} if snapshot is None else snapshot.enforced,
        "confined_by": [] if snapshot is None else list(snapshot.enforced_by),
        "uplink": read_json(folder.uplink) or None,
        "hub": _hub(folder),
        "faults": _faults(folder),
        "problems": [
            {"grave": one.grave, "what": one.what, "cure": one.cure} for one in problems(seen, History())
        ],
    }


def _faults(folder: DataFolder) -> dict[str, Any]:
    """Return what is wrong on purpose, with the seconds that it goes on."""
    now = time.time_ns()
    return {
        kind: {"mode": fault.mode, "left_s": round((fault.until - now) / 1e9, 1)}
        for kind, fault in Faults(folder.root).active().items()
    }


def _firings(snapshot: Snapshot) -> dict[str, Any]:
    """Return what functions wait for that no message runs: how many times, and the next one."""
    return {
        name: {"pending": one.pending, "next": None if one.next is None else from_ns(one.next).isoformat()}
        for name, one in snapshot.firings.items()
    }


def _functions(snapshot: Snapshot) -> dict[str, Any]:
    return {
        name: _figures(stats) | {"runs": snapshot.places.get(name, "inline")}
        for name, stats in snapshot.functions.items()
    }


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
        "stopped": stats.stopped,
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
        [[name, one["pid"], _state(one), one["restarts"]] for name, one in status["processes"].items()],
    )
    if functions := status["functions"]:
        print()
        head = ["function", "calls", "errors", "over budget", "budget", "p50", "p99"]
        table(head, [_function_row(name, one) for name, one in functions.items()])
    if firings := status["firings"]:
        print()
        rows = [[name, one["pending"], one["next"] or "-"] for name, one in firings.items()]
        table(["timer or cron line", "pending", "next"], rows)
    print()
    outbox, uplink, hub = status["outbox"], status["uplink"], status["hub"]
    if outbox:
        print(
            f"outbox  {_many(outbox.get('rows', 0), 'row')} since the start, "
            f"{outbox.get('bytes', 0) / 1e6:,.1f} MB kept, "
            f"{_many(outbox.get('dead_letters', 0), 'dead letter')}"
        )
    if uplink:
        state = f"connected, {uplink.get('rtt_ms', 0):.2f} ms" if uplink.get("connected") else "not connected"
        print(f"uplink  {state}")
        if text := _backlog(uplink.get("backlog") or {}):
            print(f"backlog {text}")
    if hub:
        print("hub     " + ", ".join(_counter(name, value) for name, value in hub.items()))
    _show_workers(status)
    for kind, fault in status["faults"].items():
        print(f"FAULT   {kind} ({fault['mode']}): rimward fault asked for it, {fault['left_s']:.0f} s to go")
    for problem in status["problems"]:
        print(f"{'WRONG' if problem['grave'] else 'note':<8}{problem['what']} {problem['cure']}".rstrip())


def _show_workers(status: dict[str, Any]) -> None:
    """Show the processes of functions, and what this machine enforces of their confinement."""
    for name, one in status["workers"].items():
        died = f", {one['died']} died (last: {one['died_of']})" if one["died"] else ""
        print(f"workers {name}: {len(one['pids'])} processes, {one['waiting']} waiting{died}")
    if status["workers"]:
        for part, why in status["confinement"].items():
            if why:
                print(f"NOT ENFORCED on this machine: {part} ({why})")
        print(f"confined by {', '.join(status['confined_by']) or 'nothing'}")


def _backlog(one: dict[str, Any]) -> str:
    """Return what waits for the lake as a sentence; nothing while it is only what is under way."""
    rows, rate, left = one.get("rows", 0), one.get("stored_per_s", 0), one.get("left_s")
    if rows <= UNDER_WAY * max(rate, LITTLE):
        return ""
    end = "no end is in sight" if left is None else f"{_long(left)} to go"
    return f"{rows:,} rows wait for the lake, {rate:,} a second reach it, {end}"


def _long(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _many(count: float, one: str) -> str:
    return f"{count:,.0f} {one}{'' if count == 1 else 's'}"


def _counter(name: str, value: int) -> str:
    """Return a counter of the hub for people: its name may be a plural, with what it is of behind."""
    words = name.split("_")
    if value == 1 and words[0].endswith("s") and words[0] not in ("has", "was"):
        words[0] = words[0].removesuffix("s")
    return f"{value:,} {' '.join(words)}"


def _state(process: dict[str, Any]) -> str:
    if "silent_s" in process:
        return f"no sign of life for {process['silent_s']:.0f} s"
    return str(process["state"])


def _function_row(name: str, one: dict[str, Any]) -> list[Any]:
    own: dict[str, float] = one["stages"].get("total") or one["stages"].get("function") or {}
    times = [span(own[key] * 1e6) if key in own else None for key in ("p50_ms", "p99_ms")]
    budget = None if one["budget_ms"] is None else span(one["budget_ms"] * 1e6)
    return [name, one["calls"], one["errors"], one["overruns"], budget, *times]
