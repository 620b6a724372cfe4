"""`rimward node join|run|list`: a node whose hub is elsewhere."""

import argparse
import asyncio
import sys
from pathlib import Path

from rimward.cli.listening import add_outside, add_ports, add_uplink, check_outside, listening
from rimward.cli.output import json_line, say, table
from rimward.cli.parsing import CommandError, Parser, duration

NODE_DATA, HUB_DATA = Path(".rimward"), Path(".rimward-hub")
TOKEN_BYTES = 8192
EXAMPLES = """\
examples:
  rimward node join --name truck-7 --token-file join.txt
  rimward node run app.py
  rimward node list

A machine becomes a node with the string that rimward hub token prints on the hub's machine. rimward node join
--help and its siblings explain each; rimward hub is the other side.
"""
EXAMPLES_JOIN = """\
examples:
  rimward node join --name truck-7 --token-file join.txt
  rimward node join --name truck-7 < join.txt

The string comes in or from a file, never as an argument, which others could read. An answer that was lost is
asked for again by the same command.
"""
EXAMPLES_RUN = """\
examples:
  rimward node run app.py
  rimward node run app.py --host 0.0.0.0 --access access.toml
  rimward node run app.py --uplink-rate 64kbit/s

It serves its devices whether the hub answers or not; what waits for the hub waits on its disk.
"""
EXAMPLES_LIST = "examples:\n  rimward node list\n  rimward node list --all --json\n"


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    words = parser.add_subparsers(dest="word", metavar="join|run|list", required=True)
    one = words.add_parser("join", description="make this machine a node of a hub", epilog=EXAMPLES_JOIN)
    one.add_argument(
        "--name", metavar="NAME", required=True, help="1 to 32 of a-z, 0-9 and -, of no other node"
    )
    one.add_argument(
        "--token-file", type=Path, metavar="FILE", help="has the join string (default: what comes in)"
    )
    node = words.add_parser("run", description="run an app on this node", epilog=EXAMPLES_RUN)
    node.add_argument("app", metavar="APP", help="app.py or package.module:app")
    add_ports(node, console=False)
    add_outside(node)
    add_uplink(node)
    node.add_argument("--config", type=Path, metavar="FILE", help="TOML: limits, [outbox], [uplink], [bus]")
    text = "stop by itself, counted from ready"
    node.add_argument("--for", dest="duration", type=duration, metavar="SECONDS", help=text)
    shown = words.add_parser("list", description="show the nodes of a hub", epilog=EXAMPLES_LIST)
    shown.add_argument("--all", action="store_true", help="also those that may not come in any more")
    for below, default in ((one, NODE_DATA), (node, NODE_DATA), (shown, HUB_DATA)):
        text = f"data folder (default: {default})"
        below.add_argument("--data", type=Path, metavar="DIR", default=default, help=text)
        below.add_argument("--json", action="store_true", help="write JSON lines")


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    match options.word:
        case "join":
            return _join(options)
        case "run":
            return _run(options)
        case _:
            return _list(options)


def _join(options: argparse.Namespace) -> int:
    from rimward.edge.joining import join

    identity = join(_token(options.token_file), options.name, options.data)
    if options.json:
        json_line({"joined": identity, "data": str(options.data.absolute())})
    else:
        say(f"this machine is the node {identity.name} of {identity.site}: rimward node run app.py starts it")
    return 0


def _token(path: Path | None) -> str:
    if path is None:
        if sys.stdin.isatty():
            print("the join string:", file=sys.stderr)
            return sys.stdin.readline(TOKEN_BYTES)
        return sys.stdin.read(TOKEN_BYTES)
    try:
        with path.open() as file:
            return file.read(TOKEN_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CommandError(f"{path} can't be read ({reason}): name the file with the join string") from None


def _run(options: argparse.Namespace) -> int:
    from rimward.local.node import run
    from rimward.local.options import NodeOptions
    from rimward.local.telling import Lines

    check_outside(options)
    wanted = NodeOptions(
        app=options.app,
        data=options.data,
        **listening(options),
        config=options.config,
        duration=options.duration,
    )
    asyncio.run(run(wanted, Lines("node", json=options.json)))
    return 0


def _list(options: argparse.Namespace) -> int:
    from rimward.cli.data import need_cloud

    need_cloud("starlette")
    from rimward.cloud.control.enrolment import Enrolments
    from rimward.events.times import from_ns

    path = options.data / "hub" / "enrol.db"
    if not path.exists():
        raise CommandError(f"{options.data} is not a hub's data folder: name one with --data DIR")
    enrolments = Enrolments(path)
    try:
        nodes = enrolments.nodes(revoked=options.all)
    finally:
        enrolments.close()
    if options.json:
        for node in nodes:
            json_line(node)
        return 0
    rows = [
        [node.name, node.site, from_ns(node.joined), "" if node.revoked is None else "revoked"]
        for node in nodes
    ]
    table(["node", "site", "joined", "state"], rows)
    return 0
