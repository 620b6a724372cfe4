"""`rimward device command`: a person at the hub commands a device, and sees what becomes of it."""

import argparse
import secrets
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from rimward.cli.data import folder_of
from rimward.cli.output import json_line, say
from rimward.cli.parsing import CommandError, Parser, UsageError
from rimward.cli.seeing import processes_of
from rimward.events import seconds
from rimward.local.folder import DataFolder
from rimward.wire import HUB

if TYPE_CHECKING:
    from rimward.app.commands import Order
    from rimward.cloud.commands.desk import CommandState

LOOK = 0.1  # seconds between two looks at what came of it
GRACE = 5.0  # seconds beyond its expiry that a result may need to come back
BY_HAND = "rimward device command"  # who gave it, where a function's name would be
EXAMPLES = """\
examples:
  rimward device command pump-7 stop
  rimward device command truck-3 chill '{"mode": "max"}' --timeout 2s --node depot
  rimward device command pump-7 stop --expires 2h --json

It is given where the hub runs, is durable there, and is carried out at most once; with --idempotent it is
given again where nobody knows its end. Ctrl-C ends the waiting and not the command. The exit code is 0 if the
device acknowledged it.
"""


def add_word(words: "argparse._SubParsersAction[Parser]") -> None:
    """Declare what the word takes."""
    one = words.add_parser("command", description="command a device and wait for its answer", epilog=EXAMPLES)
    one.add_argument("id", metavar="DEVICE", help="its client id, as the node knows it")
    one.add_argument("name", metavar="NAME", help="of the command")
    one.add_argument("payload", metavar="JSON", nargs="?", help="what goes with it (default: nothing)")
    text = "how long the device has to acknowledge (default: 10s)"
    one.add_argument("--timeout", metavar="TIME", default="10s", help=text)
    text = "how long it may wait for the device, up to 30d (default: 1m)"
    one.add_argument("--expires", metavar="TIME", default="1m", help=text)
    text = "the node that the device is at (default: the only one there is)"
    one.add_argument("--node", metavar="NODE", help=text)
    text = "it may be carried out twice: give it again where nobody knows its end"
    one.add_argument("--idempotent", action="store_true", help=text)
    one.add_data()


def command(options: argparse.Namespace) -> int:
    """Give the command, and wait for its result."""
    folder = folder_of(options.data)
    if not any(one["pid"] for name, one in processes_of(folder).items() if name == "hub"):
        raise CommandError(f"no hub runs in {folder.root}: start one with rimward dev or rimward hub run")
    from rimward.cloud.commands.desk import enter, state_of, waiting
    from rimward.cloud.functions.calling import WAITING
    from rimward.cloud.functions.hubdb import open_journal

    node = options.node or _only_node(folder)
    given = _order(options, node)
    key = f"hand-{secrets.token_hex(8)}"
    with closing(open_journal(folder.root / "hub" / "hub.db")) as db:
        if waiting(db, node) >= WAITING:
            raise CommandError(f"{WAITING} commands wait for the node {node}, the limit: try again later")
        now = time.time_ns()
        enter(db, node, key, given, now, (BY_HAND, key))
        _tell(options, "given", {"key": key, "node": node, "device": given.device, "name": given.name,
                                 "expires": now + round(given.expires * 1e9)})  # fmt: skip
        end, taken = time.monotonic() + given.expires + given.timeout + GRACE, False
        while (state := state_of(db, node, key)) is not None and state.outcome is None:
            if state.taken and not taken:
                taken = True
                _tell(options, "taken", {"node": node})
            if time.monotonic() > end:
                break
            time.sleep(LOOK)
        return _ended(options, state)


def _only_node(folder: DataFolder) -> str:
    """Return the one node of the hub.

    Raises:
        UsageError: there are several, or none has said hello.
    """
    from rimward.cloud.ledger.reports import read_reports
    from rimward.edge.api import node_name

    try:
        names = {one.node for one in read_reports(folder.root)} - {HUB}
    except sqlite3.Error as error:
        raise CommandError(f"hub.db can't be read: {error}") from None
    if not names and (folder.root / "node").is_dir():
        names = {node_name(folder.root)}
    if len(names) != 1:
        known = ", ".join(sorted(names)) or "none has said hello yet"
        raise UsageError(f"--node: name the node that the device is at ({known})")
    return names.pop()


def _order(options: argparse.Namespace, node: str) -> "Order":
    from rimward.app.commands import order

    body: Any = None
    if options.payload is not None:
        try:
            body = bytes(msgspec.json.encode(msgspec.json.decode(options.payload)))
        except msgspec.DecodeError as error:
            raise UsageError(f"JSON: {options.payload!r} is none ({error})") from None
    try:
        for duration in (options.expires, options.timeout):
            seconds(duration)
        return order(
            options.id, options.name, body, expires=options.expires, timeout=options.timeout, key=None,
            node=node, idempotent=options.idempotent,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise UsageError(str(error).removeprefix("app.command: ")) from None


def _ended(options: argparse.Namespace, state: "CommandState | None") -> int:
    if state is None or state.outcome is None:
        _tell(options, "waiting", {"detail": "its end is not known yet: a result that comes later is kept"})
        return 1
    reply = None if state.reply is None else state.reply.decode(errors="replace")
    _tell(options, "ended", {"outcome": state.outcome, "detail": state.detail or "", "reply": reply})
    return 0 if state.outcome == "ok" else 1


def _tell(options: argparse.Namespace, state: str, content: dict[str, Any]) -> None:
    if options.json:
        json_line({"state": state, **content})
        return
    match state:
        case "given":
            say(f"given: {content['name']} to {content['device']} at {content['node']}")
        case "taken":
            say(f"{content['node']} has it")
        case "ended":
            parts = (content["outcome"], content["detail"], content["reply"])
            say(": ".join(str(part) for part in parts if part))
        case _:
            say(content["detail"])
