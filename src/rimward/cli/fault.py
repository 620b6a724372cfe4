"""`rimward fault KIND`: make something go wrong for a while, to see what happens. It ends by itself."""

import argparse
import time
from typing import Any, NamedTuple, get_args

from rimward.cli.data import folder_of
from rimward.cli.output import json_line, say
from rimward.cli.parsing import CommandError, Parser, UsageError, duration
from rimward.cli.seeing import processes_of
from rimward.events import nanoseconds
from rimward.local.folder import DataFolder
from rimward.observe.faults import LONGEST, Fault, Kind, inject, take_back

EXAMPLES = """\
examples:
  rimward fault uplink --for 30s
  rimward fault bus --for 10s
  rimward fault disk --mode full --for 20s
  rimward fault clock --mode +1y --for 1m

uplink cuts the node off from its hub. hub, ingest and bus make those processes stand still. disk makes the
outbox's writes slow, or fail, or find no room. clock sets the node's clock wrong. The fault is over after its
time, after Ctrl-C, and also where this command was killed.
"""
DELAY = 0.25  # seconds that a write to a slow disk takes longer
YEAR = "365d"


class What(NamedTuple):
    """One kind of fault: who has to run, what it may be, and where to look meanwhile."""

    hits: str  # the process
    modes: tuple[str, ...]  # the first is the default
    happens: str
    look: str


KINDS: dict[Kind, What] = {
    "uplink": What(
        "deep", ("cut",), "the node is cut off from its hub: devices are served, facts wait in the outbox",
        "rimward ledger shows them under waiting, rimward status says that the hub is not connected",
    ),
    "hub": What(
        "hub", ("stop",), "the hub and its ingest stand still: facts wait on the bus and in the outbox",
        "rimward ledger shows them under waiting; devices are answered as before",
    ),
    "ingest": What(
        "ingest", ("stop",), "ingest stands still: facts wait on the bus and in the outbox",
        "rimward ledger shows them under waiting; cloud functions get no new rows",
    ),
    "bus": What(
        "bus", ("stop",), "the bus stands still: the uplink tries again and again, facts wait in the outbox",
        "rimward status says that the hub is not connected, rimward ledger what waits",
    ),
    "disk": What(
        "node", ("slow", "full", "error"), "the outbox's disk is {mode}",
        "rimward status: acknowledged is only what is on disk; functions without durable effects are as fast",
    ),
    "clock": What(
        "node", ("1970", "+1y", "-1y"), "the node's clock is wrong ({mode})",
        'rimward sql "select _time, _received_at, _clock from …": rows are placed by _clock when it is over',
    ),
}  # fmt: skip


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("kind", metavar="KIND", choices=get_args(Kind), help=", ".join(get_args(Kind)))
    parser.add_argument(
        "--for", dest="seconds", type=duration, default=30.0, metavar="TIME", help="how long (default: 30s)"
    )
    parser.add_argument("--mode", metavar="MODE", help="disk: slow, full, error; clock: 1970, +1y, -1y")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Inject the fault and wait until it is over."""
    kind: Kind = options.kind
    what, folder = KINDS[kind], folder_of(options.data)
    mode: str = options.mode or what.modes[0]
    if mode not in what.modes:
        raise UsageError(f"--mode: {mode!r} is none of {', '.join(what.modes)}, as {kind} has them")
    if not 0 < options.seconds <= LONGEST:
        raise UsageError(f"--for: {options.seconds:g} s is not from 0 to {LONGEST:g} s")
    _check(folder, what)
    fault = _fault(kind, mode, options.seconds)
    inject(folder.root, kind, fault)
    _tell(options, {"fault": kind, "mode": mode, "until": fault.until}, _words(what, mode, options.seconds))
    try:
        while (left := fault.until - time.time_ns()) > 0:
            time.sleep(min(left / 1e9, 1.0))
    finally:
        take_back(folder.root, kind)
    _tell(options, {"over": kind}, "over: what waited is on its way, and rimward ledger balances")
    return 0


def _check(folder: DataFolder, what: What) -> None:
    """Make sure that there is somebody to hit.

    Raises:
        CommandError: the process does not run.
    """
    processes = processes_of(folder)
    if not any(one["pid"] for name, one in processes.items() if name.partition("-")[0] == what.hits):
        raise CommandError(f"no {what.hits} runs in {folder.root}: start one with rimward dev app.py")


def _fault(kind: Kind, mode: str, seconds: float) -> Fault:
    now = time.time_ns()
    offset = 0
    if kind == "clock":
        year = nanoseconds(YEAR)
        offset = {"1970": nanoseconds("1m") - now, "+1y": year, "-1y": -year}[mode]
    delay = DELAY if mode == "slow" else 0.0
    return Fault(now, now + round(seconds * 1e9), mode, delay, offset)


def _words(what: What, mode: str, seconds: float) -> str:
    return f"for {seconds:g} s: {what.happens.format(mode=mode)}. Look: {what.look}"


def _tell(options: argparse.Namespace, content: dict[str, Any], words: str) -> None:
    if options.json:
        json_line(content)
    else:
        say(words)
