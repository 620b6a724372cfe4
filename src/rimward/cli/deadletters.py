"""`rimward deadletters list|show|replay`: what could not be stored, and its second try."""

import argparse
import time
from importlib.util import find_spec
from typing import Any

from rimward.app import manifest as manifests
from rimward.cli.data import folder_of, need_cloud
from rimward.cli.output import json_line, say, table
from rimward.cli.parsing import CommandError, Parser
from rimward.edge.api import dead_letters, node_name
from rimward.events.times import from_ns
from rimward.local.folder import DataFolder

SHOWN = 200  # dead letters of a list for people
EXAMPLES = """\
examples:
  rimward deadletters list
  rimward deadletters list --fact too_warm --json
  rimward deadletters show n1/12/too_warm/4711
  rimward deadletters replay --fact too_warm

A row is a dead letter where a value is not exactly of its column's type, or the hub did not know its schema
or fact. Replay tries rows again and deletes the dead letters of those that fit; it works while the hub runs.
Its exit code is 1 where rows are left that do not fit.
Where the folder is a node's, list and show have the events that its functions could not work on as well;
these are not tried again.
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
    own = _own(options, folder)
    if options.action == "show" and options.id in own:
        json_line(own[options.id])
        return 0
    if options.action == "replay" or (folder.root / "lake").exists():
        need_cloud("duckdb", "deltalake", "pyarrow")
    if options.action == "replay":
        return _replay(options, folder)
    found = _in_lake(options, folder)
    if options.action == "show":
        return _show(options, found)
    _list(options, found, own)
    return 0


def _in_lake(options: argparse.Namespace, folder: DataFolder) -> list[Any]:
    """Return the rows that could not be stored; none where there is no lake."""
    if find_spec("deltalake") is None:
        return []
    from deltalake.exceptions import TableNotFoundError

    from rimward.cloud.ingest.replaying import dead_rows
    from rimward.cloud.lake.storage import lake_of

    try:
        return dead_rows(lake_of(folder.root), options.fact, options.node)
    except TableNotFoundError:
        return []


def _own(options: argparse.Namespace, folder: DataFolder) -> dict[str, dict[str, Any]]:
    """Return the events that the folder's node could not work on, by name; they are of no fact."""
    node = node_name(folder.root)
    if options.fact is not None or options.node not in (None, node):
        return {}
    return {
        f"{node}/{number}": {
            "id": f"{node}/{number}", "node": node, "at": letter.at, "function": letter.function,
            "protocol": letter.protocol, "source": letter.source, "sender": letter.sender,
            "reason": f"{letter.reason}: {letter.detail}", "payload": letter.payload.hex(),
        }
        for number, letter in dead_letters(folder.root)
    }  # fmt: skip


def _list(options: argparse.Namespace, found: list[Any], own: dict[str, dict[str, Any]]) -> None:
    if options.json:
        for letter in own.values():
            json_line(letter)
        for dead in found:
            json_line({"id": dead.id, "fact": dead.fact, "node": dead.node, "rows": dead.rows,
                       "schema": dead.schema, "reason": dead.reason, "day": dead.day})  # fmt: skip
        return
    rows = [[one["id"], None, from_ns(one["at"]).date().isoformat(), one["reason"]] for one in own.values()]
    rows += [[dead.id, dead.rows, dead.day, dead.reason] for dead in found]
    table(["id", "rows", "day", "reason"], rows[:SHOWN])
    if (more := len(rows) - SHOWN) > 0:
        print(f"… and {more:,} more: --json writes all")


def _show(options: argparse.Namespace, found: list[Any]) -> int:
    from rimward.cloud.ingest.replaying import rows_of

    for dead in found:
        if dead.id == options.id:
            values = [{"seq": row.seq, "event": row.event, "values": row.values} for row in rows_of(dead)]
            json_line({"id": dead.id, "reason": dead.reason, "schema": dead.schema, "day": dead.day,
                       "rows": values or dead.body.hex()})  # fmt: skip
            return 0
    raise CommandError(f"there is no dead letter {options.id}: rimward deadletters list has their names")


def _replay(options: argparse.Namespace, folder: DataFolder) -> int:
    from rimward.cloud.erasing.listing import Erasures, Rules
    from rimward.cloud.ingest.opened import OpenLake
    from rimward.cloud.ingest.replaying import Replaying
    from rimward.cloud.lake.sole import SoleWriter
    from rimward.cloud.lake.storage import lake_of
    from rimward.wire.system import SYSTEM

    try:
        manifest = manifests.decode(folder.manifest.read_bytes())
    except OSError:
        raise CommandError(f"{folder.root} has no app's manifest: rimward dev or hub run writes it") from None
    facts = [fact for fact in manifest.facts if options.fact in (None, fact.table)]
    if not facts:
        raise CommandError(f"the app has no fact {options.fact}")
    lake = lake_of(folder.root)
    erasures = Erasures(folder.root, lake)

    def rules(fact: str) -> Rules | None:
        found = erasures.of(fact)
        return Rules(found) if found else None

    right = SoleWriter(lake, folder.root, "rimward deadletters replay")
    replaying = Replaying(OpenLake(lake, (*manifest.facts, *SYSTEM), time.time_ns), time.time_ns, rules)
    left = 0
    for fact in facts:
        done = replaying.fact(fact.table, lambda one: options.node in (None, one.node))
        if options.json:
            json_line({"fact": fact.table, "stored": done.stored, "there": done.there, "dead": done.dead})
        else:
            print(f"{fact.table}: {done.stored} stored, {done.there} were there, {done.dead} do not fit")
        left += done.dead
    right.close()
    if left and not options.json:
        rows = "1 row is" if left == 1 else f"{left:,} rows are"
        say(f"{rows} left as dead letters: list says why each does not fit")
    return 1 if left else 0
