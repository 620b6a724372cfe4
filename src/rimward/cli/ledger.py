"""`rimward ledger`: forwarded = stored + waiting + dead-lettered + expired + erased + discarded."""

import argparse

from rimward.cli.data import folder_of, need_cloud
from rimward.cli.output import json_line, table
from rimward.cli.parsing import Parser

TERMS = ("stored", "waiting", "dead_lettered", "expired", "erased", "discarded")
EXAMPLES = """\
examples:
  rimward ledger
  rimward ledger --json

Every row that a function forwarded is in exactly one place. Stored is counted in the table. It works while
rimward dev runs and after it has stopped; the exit code is 1 if a sum is not right.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Print the equation of every fact and node."""
    folder = folder_of(options.data)
    need_cloud("deltalake", "pyarrow", "starlette", "uvicorn")
    from rimward.console.ledger import read_ledger

    entries = read_ledger(folder.root)
    balanced = all(entry.missing == 0 for entry in entries)
    if options.json:
        for entry in entries:
            terms = {term: getattr(entry, term) for term in TERMS}
            json_line(
                {"node": entry.node, "fact": entry.fact, "forwarded": entry.forwarded, **terms,
                 "missing": entry.missing, "balanced": entry.missing == 0}
            )  # fmt: skip
        return 0 if balanced else 1
    if not entries:
        print("nothing was forwarded yet")
        return 0
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
    print("balanced" if balanced else "NOT balanced: rows are missing, or are there twice where negative")
    print("nothing acknowledged is lost while the node's disk lives and its caps are not reached")
    return 0 if balanced else 1
