"""`rimward deadletters list|show|replay`: what could not be stored, and its second try."""

import argparse
import time
from typing import Any

from rimward.app import manifest as manifests
from rimward.cli.data import folder_of, need_cloud
from rimward.cli.output import json_line, table
from rimward.cli.parsing import CommandError, Parser

SHOWN = 200  # dead letters of a list for people
EXAMPLES = """\
examples:
  rimward deadletters list
  rimward deadletters list --fact too_warm --json
  rimward deadletters show n1/12/too_warm/4711
  rimward deadletters replay --fact too_warm

A row is a dead letter where a value is not exactly of its column's type, or the hub did not know its schema
or fact. Replay tries rows again and deletes the dead letters of those that fit; it works while the hub runs.
Messages that functions could not work on are in the node's outbox; rimward trace shows them.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("action", choices=("list", "show", "replay"), help="what to do")
    parser.add_argument("id", nargs="?", metavar="ID", help="of show: as list says it")
    parser.add_argument("--fact", metavar="TABLE", help="of one fact alone")
    parser.add_argument("--node", metavar="NODE", help="of one node alone")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Do it."""
    folder = folder_of(options.data)
    need_cloud("duckdb", "deltalake", "pyarrow")
    if options.action == "replay":
        return _replay(options, folder)
    from deltalake.exceptions import TableNotFoundError

    from rimward.cloud.replaying import dead_rows
    from rimward.cloud.storage import lake_of

    try:
        found = dead_rows(lake_of(folder.root), options.fact, options.node)
    except TableNotFoundError:
        found = []
    if options.action == "show":
        return _show(options, found)
    if options.json:
        for dead in found:
            json_line({"id": dead.id, "fact": dead.fact, "node": dead.node, "rows": dead.rows,
                       "schema": dead.schema, "reason": dead.reason, "day": dead.day})  # fmt: skip
        return 0
    table(
        ["id", "rows", "day", "reason"],
        [[dead.id, dead.rows, dead.day, dead.reason] for dead in found[:SHOWN]],
    )
    if (more := len(found) - SHOWN) > 0:
        print(f"… and {more:,} more: --json writes all")
    return 0


def _show(options: argparse.Namespace, found: list[Any]) -> int:
    from rimward.cloud.replaying import rows_of

    for dead in found:
        if dead.id == options.id:
            values = [{"seq": row.seq, "event": row.event, "values": row.values} for row in rows_of(dead)]
            json_line({"id": dead.id, "reason": dead.reason, "schema": dead.schema, "day": dead.day,
                       "rows": values or dead.body.hex()})  # fmt: skip
            return 0
    raise CommandError(f"there is no dead letter {options.id}: rimward deadletters list has their names")


def _replay(options: argparse.Namespace, folder: Any) -> int:
    from rimward.cloud.opened import OpenLake
    from rimward.cloud.replaying import Replaying
    from rimward.cloud.storage import lake_of
    from rimward.wire.system import SYSTEM

    try:
        manifest = manifests.decode(folder.manifest.read_bytes())
    except OSError:
        raise CommandError(f"{folder.root} has no app's manifest: rimward dev or hub run writes it") from None
    facts = [fact for fact in manifest.facts if options.fact in (None, fact.table)]
    if not facts:
        raise CommandError(f"the app has no fact {options.fact}")
    replaying = Replaying(
        OpenLake(lake_of(folder.root), (*manifest.facts, *SYSTEM), time.time_ns), time.time_ns
    )
    for fact in facts:
        done = replaying.fact(fact.table, lambda one: options.node in (None, one.node))
        if options.json:
            json_line({"fact": fact.table, "stored": done.stored, "there": done.there, "dead": done.dead})
        else:
            print(f"{fact.table}: {done.stored} stored, {done.there} were there, {done.dead} do not fit")
    return 0
