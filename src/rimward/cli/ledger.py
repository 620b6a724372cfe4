"""`rimward ledger`: forwarded = stored + waiting + dead-lettered + expired + erased + discarded."""

import argparse
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rimward.cli.data import folder_of, need_cloud, read_json
from rimward.cli.output import json_line, table
from rimward.cli.parsing import CommandError, Parser
from rimward.cli.seeing import processes_of, seen_of
from rimward.console.judge import silences
from rimward.local.folder import DataFolder, alive
from rimward.observe import read_snapshot

if TYPE_CHECKING:
    from rimward.cloud.ledger.accounting import Balance

PROMISE = "nothing acknowledged is lost while the node's disk lives and its caps are not reached"
TERMS = ("stored", "waiting", "dead_lettered", "expired", "erased", "discarded")
EXAMPLES = """\
examples:
  rimward ledger
  rimward ledger --json
  rimward ledger --settle truck-7

Every row that a function forwarded is in exactly one place. Stored is counted in the table, what waits on
the node's disk; of a node whose disk is elsewhere its last report tells. It works while rimward dev runs and
after it has stopped; the exit code is 1 if a sum is not right, or not known.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    text = "take note that a disk of this node is lost: what is unknown stays so, and is no alarm any more"
    parser.add_argument("--settle", metavar="NODE", help=text)
    parser.add_data()


def _doubt(folder: DataFolder) -> str | None:
    """Return why the sums may not tell what is."""
    if (folder.root / "node" / "outbox.broken").exists():
        return "the outbox is broken: these are the sums of what can be read of its file"
    snapshot = read_snapshot(folder.traces)
    if snapshot is None or not alive(int(read_json(folder.ready).get("pid", 0))):
        return None
    if snapshot.outbox.get("broken"):
        return "the outbox is broken: these are the sums of what can be read of its file"
    silent = silences(seen_of(folder, snapshot, processes_of(folder))).get("node")
    if silent is None:
        return None
    return (
        f"the node has given no sign of life for {silent:.0f} s: these are the sums of what it wrote before"
    )


def run(options: argparse.Namespace) -> int:
    """Print the equation of every fact and node."""
    folder = folder_of(options.data)
    need_cloud("deltalake", "pyarrow", "starlette", "uvicorn")
    from rimward.console.ledger import read_ledger

    if options.settle is not None:
        _settle(options, folder)
    entries, doubt = read_ledger(folder.root), _doubt(folder)
    balanced = doubt is None and all(entry.missing == 0 or entry.settled for entry in entries)
    if options.json:
        for entry in entries:
            json_line(_told(entry, doubt))
        return 0 if balanced else 1
    if not entries:
        print(doubt or "nothing was forwarded yet")
        return 0 if balanced else 1
    _show([entry for entry in entries if not entry.system])
    if system := [entry for entry in entries if entry.system]:
        print("\nthe nodes' own records")
        _show(system)
    for sentence in _notes(entries):
        print(sentence)
    if doubt is not None:
        print(f"NOT known: {doubt}")
    elif any(entry.unknown and not entry.settled for entry in entries):
        print("NOT known: a node's disk was lost, and what waited on it")
    else:
        print("balanced" if balanced else "NOT balanced: rows are missing, or are there twice where negative")
    print(PROMISE)
    return 0 if balanced else 1


def _settle(options: argparse.Namespace, folder: DataFolder) -> None:
    from rimward.cloud.ledger.reports import settle

    if not settle(folder.root, options.settle):
        raise CommandError(f"no disk of {options.settle} is lost of which that is not known already")


def _told(entry: "Balance", doubt: str | None) -> dict[str, Any]:
    return {
        "node": entry.node,
        "fact": entry.fact,
        "forwarded": entry.forwarded,
        **{term: getattr(entry, term) for term in TERMS},
        "causes": entry.causes,
        "missing": entry.missing,
        "unknown": entry.unknown,
        "settled": entry.settled,
        "system": entry.system,
        "as_of": entry.as_of,
        "balanced": doubt is None and (entry.missing == 0 or entry.settled),
        "doubt": doubt,
    }


def _show(entries: "list[Balance]") -> None:
    head = ["fact", "node", "forwarded", "=", *TERMS, "missing"]
    table(
        [name.replace("_", "-") for name in head],
        [
            [entry.fact, entry.node, entry.forwarded, "=", *(getattr(entry, term) for term in TERMS),
             entry.missing if entry.unknown is None else "unknown"]
            for entry in entries
        ],
    )  # fmt: skip


def _notes(entries: "tuple[Balance, ...]") -> Iterator[str]:
    """Yield what the columns have no room for."""
    for entry in entries:
        if entry.causes:
            causes = ", ".join(f"{rows:,} {cause}" for cause, rows in entry.causes.items())
            yield f"{entry.fact} from {entry.node}: discarded {causes}"
        if entry.unknown is not None:
            low, high = entry.unknown
            noted = ", as is known" if entry.settled else ""
            lost = f"unknown: between {low:,} and {high:,} went with its disk{noted}"
            yield f"{entry.fact} from {entry.node}: {lost}"
    reported = {entry.node: entry.as_of for entry in entries if entry.as_of is not None}
    for node, at in sorted(reported.items()):
        yield f"{node} as it reported {max(0, time.time_ns() - at) / 1e9:.0f} s ago: its disk is elsewhere"
