"""`rimward sql QUERY`."""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rimward.cli.data import folder_of, need_cloud
from rimward.cli.output import json_line, plain, table
from rimward.cli.parsing import CommandError, Parser

SHOWN = 200  # rows of a table for people
EXAMPLES = """\
examples:
  rimward sql "select wearer, count(*) from motion group by wearer"
  rimward sql "show tables"
  rimward sql --csv "select * from motion" > motion.csv

DuckDB's SQL over the tables' current files; nothing can be written, and no other file can be read.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("query", metavar="QUERY", help="one query")
    parser.add_argument("--csv", action="store_true", help="write CSV")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Ask, and print what comes."""
    folder = folder_of(options.data)
    need_cloud("duckdb", "deltalake", "pyarrow")
    result = _ask(folder.root, options.query)
    names: list[str] = list(result.column_names)
    if options.json:
        for row in _rows(result):
            json_line(dict(zip(names, row, strict=True)))
    elif options.csv:
        from rimward.cloud.lake.exporting import harmless

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([harmless(value) for value in row] for row in _rows(result))
    else:
        table(names, _rows(result.slice(0, SHOWN)))
        if (more := result.num_rows - SHOWN) > 0:
            print(f"… and {more:,} rows more: --json or --csv writes all")
    return 0


def _ask(data: Path, query: str) -> Any:
    import duckdb

    from rimward.cloud.lake.query import query as ask
    from rimward.cloud.lake.storage import lake_of

    lake = lake_of(data)
    try:
        result = ask(lake, query)
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        names = ", ".join(name for name in lake.tables() if not name.startswith("_"))
        raise CommandError(
            f"{reason}: {f'tables are {names}' if names else 'the lake has no table yet'}"
        ) from error
    if result is None:
        raise CommandError("that is not a query: the lake can only be read, with select")
    return result


def _rows(result: Any) -> Iterator[list[Any]]:
    for batch in result.to_batches(max_chunksize=10_000):
        columns: list[list[Any]] = [column.to_pylist() for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield [plain(value) for value in row]
