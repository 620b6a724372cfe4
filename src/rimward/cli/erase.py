"""`rimward erase KEY`: forget everything of one key, wherever it is, and show what was erased where."""

import argparse
import secrets
import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rimward.app import manifest as manifests
from rimward.cli.data import folder_of, need_cloud
from rimward.cli.output import json_line, say
from rimward.cli.parsing import CommandError, Parser, UsageError, duration
from rimward.local.folder import DataFolder

if TYPE_CHECKING:
    from rimward.app.manifest import Manifest
    from rimward.cloud.erasing.listing import Erasures, Known
    from rimward.wire.erasing import Erasure

TYPES = ("string", "int64", "bool")  # of fields that can name somebody: others have no one way to be written
LOOK = 0.25  # seconds between two looks at what nodes have done
EXAMPLES = """\
examples:
  rimward erase patient=4711 --dry-run
  rimward erase patient=4711
  rimward erase too_warm.truck=lorry-7 --json

KEY is FIELD=VALUE, of every fact that has the field, or FACT.FIELD=VALUE. Rows are deleted from the lake
with the files of older versions; so are dead letters. The hub's own file and the nodes' outboxes lose what
rows say. It stays on a list, as a digest: what comes later of events before it is erased as it comes, from a
node that was away, by a replay or after a restore. Who was erased may come again: rows of later events stay.

A node whose clock nobody sets right can't tell later events: they are erased until --lift ID.

Run it where the hub's data is. Not covered: State of functions, what was exported, other copies of the lake.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("key", metavar="KEY", nargs="?", help="[FACT.]FIELD=VALUE")
    text = "take an erasure off the list, by its id: rows of its key are stored again"
    parser.add_argument("--lift", metavar="ID", help=text)
    parser.add_argument("--dry-run", action="store_true", help="only show what would be erased")
    text = "how long to wait for the nodes' answers (default: 15s)"
    parser.add_argument("--wait", type=duration, metavar="TIME", default=15.0, help=text)
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Erase, and tell what was where."""
    folder = folder_of(options.data)
    need_cloud("deltalake", "pyarrow", "duckdb")
    from rimward.cloud.erasing.listing import Erasures
    from rimward.cloud.lake.sole import SoleWriter
    from rimward.cloud.lake.storage import lake_of
    from rimward.wire.erasing import erasure

    if (options.key is None) == (options.lift is None):
        raise UsageError("name a KEY, or --lift ID: one of them")
    if options.lift is not None:
        return _lift(options, Erasures(folder.root, lake_of(folder.root)))
    key, lake, manifest = _key(options.key), lake_of(folder.root), _manifest(folder)
    forms = _forms(lake, manifest)
    _check(key, forms)
    fresh = erasure(secrets.token_hex(8), time.time_ns(), key, secrets.token_hex(16))
    if options.dry_run:
        said = {"dry_run": True, "field": key[1], "fact": key[0]}
        _tell(options, said, f"nothing is erased: {options.key}")
        _all_places(options, folder, (manifest, forms), fresh)
        return 0
    right = SoleWriter(lake, folder.root, "rimward erase")
    try:
        erasures = Erasures(folder.root, lake)
        erasures.add(fresh)
        _tell(options, {"erasure": fresh.id, "at": fresh.at, "field": key[1], "fact": key[0]},
              f"erasure {fresh.id} is on the list: nothing of it can come back")  # fmt: skip
        rows = _all_places(options, folder, (manifest, forms), fresh)
        _nodes(options, folder, erasures.name, came=rows > 0)
    finally:
        right.close()
    return 0


def _lift(options: argparse.Namespace, erasures: "Erasures") -> int:
    if not erasures.lift(options.lift):
        raise CommandError(f"no erasure {options.lift} is on the list: it was said when it was made")
    _tell(options, {"lifted": options.lift}, f"{options.lift} is off the list: what comes is stored again")
    return 0


def _key(text: str) -> tuple[str | None, str, str]:
    """Read a key: a table or None, a field, a value.

    Raises:
        UsageError: it is none.
    """
    name, equals, value = text.partition("=")
    fact, dot, field = name.rpartition(".")
    if not (equals and field and value) or (dot and not fact):
        raise UsageError(f"KEY: {text!r} is not FIELD=VALUE or FACT.FIELD=VALUE")
    return fact or None, field, value


def _manifest(folder: DataFolder) -> "Manifest":
    try:
        return manifests.decode(folder.manifest.read_bytes())
    except OSError:
        raise CommandError(f"{folder.root} has no app's manifest: rimward dev or hub run writes it") from None


def _forms(lake: Any, manifest: "Manifest") -> "Known":
    """Return every form that facts have had, the app's own too."""
    from deltalake.exceptions import TableNotFoundError

    from rimward.cloud.ingest.schemas import known_in

    try:
        known = known_in(lake.open("_schemas"))
    except TableNotFoundError:
        known = {}
    for spec in manifest.facts:
        known.setdefault(spec.table, {})[spec.fingerprint] = spec.columns
    return known


def _check(key: tuple[str | None, str, str], forms: "Known") -> None:
    """Make sure that there is such a field, and that it can name somebody.

    Raises:
        CommandError: it is not so.
    """
    fact, field, _ = key
    types = {
        column.type
        for table, known in forms.items()
        if fact in (None, table) and not table.startswith("_")
        for columns in known.values()
        for column in columns
        if column.name == field
    }
    if not types:
        of = f"the fact {fact} has" if fact else "no fact has"
        has = "no" if fact else "a"
        raise CommandError(f"{of} {has} field {field}: rimward boundary shows what facts have")
    if wrong := types - set(TYPES):
        raise CommandError(f"{field} is of type {', '.join(sorted(wrong))}: a key is of {', '.join(TYPES)}")


def _all_places(
    options: argparse.Namespace, folder: DataFolder, known: "tuple[Manifest, Known]", fresh: "Erasure"
) -> int:
    """Go through everything that the hub has; return how many rows of it there were."""
    found = 0
    for place, content, words in _places(folder, known, fresh, options):
        found += content["rows"]
        _tell(options, {"place": place, **content}, words)
    return found


def _places(
    folder: DataFolder, known: "tuple[Manifest, Known]", fresh: "Erasure", options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any], str]]:
    from rimward.cloud.erasing.hubrows import HubRows
    from rimward.cloud.erasing.lake import LakeEraser
    from rimward.cloud.lake.storage import lake_of

    manifest, forms = known
    dry, plain = options.dry_run, options.key.partition("=")[2]
    eraser = LakeEraser(lake_of(folder.root), time.time_ns)
    for table in filter(fresh.concerns, eraser.tables()):
        rows, files = (eraser.find(table, [fresh]), 0) if dry else eraser.erase(table, [fresh])
        yield "lake", {"table": table, "rows": rows, "files": files}, f"{table}: {_rows(rows)}, {files} files"
    rows, files = (eraser.find_dead([fresh], plain), 0) if dry else eraser.erase_dead([fresh], plain)
    yield "dead-letters", {"rows": rows, "files": files}, f"dead letters: {_rows(rows)}, {files} files"
    found = HubRows(folder.root, manifest, forms).erase([fresh], dry_run=dry)
    words = f"the hub's own file: {_rows(found['forwards'])} of functions, {found['events']} events"
    yield "hub", {"rows": found["forwards"], "events": found["events"]}, words


def _nodes(options: argparse.Namespace, folder: DataFolder, name: str, *, came: bool) -> None:
    """Wait for the nodes, and tell of each; `came`: there is one, also where none has said hello yet."""
    end, told = time.monotonic() + options.wait, set[str]()
    while True:
        states = _reported(folder)
        for node in sorted(states.keys() - told):
            if (done := states[node]).known == name:
                told.add(node)
                found = {"state": "done", "rows": done.rows, "dead": done.dead}
                words = f"done; {_rows(done.rows)} and {done.dead} dead letters of it since its first erasure"
                _tell(options, {"place": "node", "node": node, **found}, f"{node}: {words}")
        if (told == states.keys() and (told or not came)) or time.monotonic() > end:
            break
        time.sleep(LOOK)
    for node in sorted(states.keys() - told):
        words = f"{node}: told when it is heard of; what it sends until then is erased as it comes"
        _tell(options, {"place": "node", "node": node, "state": "waiting"}, words)


def _reported(folder: DataFolder) -> dict[str, Any]:
    """Return what each node has carried out, as its newest outbox says."""
    from rimward.cloud.ledger.reports import read_hellos

    try:
        return {hello.node: hello.erased for hello in read_hellos(folder.root)}
    except sqlite3.Error as error:
        raise CommandError(f"hub.db can't be read: {error}") from None


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _tell(options: argparse.Namespace, content: dict[str, Any], words: str) -> None:
    if options.json:
        json_line(content)
    else:
        say(words)
