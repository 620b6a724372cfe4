"""`rimward export FACT --to FILE`."""

import argparse
import time
from pathlib import Path

from rimward.cli.data import folder_of, need_cloud
from rimward.cli.output import json_line
from rimward.cli.parsing import CommandError, Parser

EXAMPLES = """\
examples:
  rimward export too_warm --to too_warm.parquet
  rimward export too_warm --since 7d --to week.csv

Parquet keeps every column's type. In CSV a cell that a spreadsheet would take for a formula begins with ' .
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("fact", metavar="FACT", help="a fact's table, or its name in the app")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="NAME.parquet or NAME.csv")
    parser.add_argument("--since", metavar="DURATION", help="rows received in the last 90s, 5m, 12h or 7d")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Write the file, and tell how many rows it has."""
    folder = folder_of(options.data)
    need_cloud("deltalake", "pyarrow")
    from deltalake.exceptions import TableNotFoundError

    from rimward.app.facts import snake_case
    from rimward.cloud.lake.exporting import WRITERS, export
    from rimward.cloud.lake.storage import lake_of
    from rimward.events import nanoseconds

    if options.to.suffix not in WRITERS:
        raise CommandError(f"{options.to} is neither .parquet nor .csv: the name says what is written")
    try:
        since = None if options.since is None else time.time_ns() - nanoseconds(options.since)
    except ValueError as error:
        raise CommandError(f"--since: {error}") from None
    lake = lake_of(folder.root)
    try:
        rows = export(lake, snake_case(options.fact), options.to, since)
    except TableNotFoundError:
        names = ", ".join(name for name in lake.tables() if not name.startswith("_"))
        said = f"tables are {names}" if names else "the lake has no table yet"
        raise CommandError(f"no table {options.fact}: {said}") from None
    except OSError as error:
        raise CommandError(f"{options.to} can't be written: {error.strerror}") from error
    if options.json:
        json_line({"file": str(options.to), "rows": rows})
    else:
        print(f"{rows:,} rows in {options.to}")
    return 0
