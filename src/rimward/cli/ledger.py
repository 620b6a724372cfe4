"""`rimward ledger`: forwarded = stored + waiting + dead-lettered + expired + erased + discarded."""

import argparse

from rimward.cli.data import folder_of, need_cloud, read_json
from rimward.cli.output import json_line, table
from rimward.cli.parsing import Parser
from rimward.cli.seeing import processes_of, seen_of
from rimward.console.judge import silences
from rimward.local.folder import DataFolder, alive
from rimward.observe import read_snapshot

TERMS = ("stored", "waiting", "dead_lettered", "expired", "erased", "discarded")
EXAMPLES = """\
examples:
  rimward ledger
  rimward ledger --json

Every row that a function forwarded is in exactly one place. Stored is counted in the table. It works while
rimward dev runs and after it has stopped; the exit code is 1 if a sum is not right, or not known.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
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

    entries, doubt = read_ledger(folder.root), _doubt(folder)
    balanced = doubt is None and all(entry.missing == 0 for entry in entries)
    if options.json:
        for entry in entries:
            terms = {term: getattr(entry, term) for term in TERMS}
            json_line(
                {"node": entry.node, "fact": entry.fact, "forwarded": entry.forwarded, **terms,
                 "missing": entry.missing, "balanced": doubt is None and entry.missing == 0, "doubt": doubt}
            )  # fmt: skip
        return 0 if balanced else 1
    if not entries:
        print(doubt or "nothing was forwarded yet")
        return 0 if balanced else 1
    head = ["fact", "node", "forwarded", "=", *TERMS, "missing"]
    table(
        [name.replace("_", "-") for name in head],
        [
            [
                entry.fact,
                entry.node,
                entry.forwarded,
                "=",
                *(getattr(entry, term) for term in TERMS),
                entry.missing,
            ]
            for entry in entries
        ],
    )
    if doubt is not None:
        print(f"NOT known: {doubt}")
    else:
        print("balanced" if balanced else "NOT balanced: rows are missing, or are there twice where negative")
    print("nothing acknowledged is lost while the node's disk lives and its caps are not reached")
    return 0 if balanced else 1
