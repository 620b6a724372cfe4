"""`rimward hub run|token|revoke|release`: the cloud's side of nodes that are elsewhere."""

import argparse
import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rimward.cli.output import json_line, say
from rimward.cli.parsing import CommandError, Parser, duration, host, port

if TYPE_CHECKING:
    from rimward.cloud.control.enrolment import Enrolments
    from rimward.local.folder import DataFolder

DEFAULT = Path(".rimward-hub")
EXAMPLES = """\
examples:
  rimward hub run --app app.py
  rimward hub token
  rimward hub revoke truck-7

A hub takes the rows of nodes that joined it with a string that rimward hub token prints. rimward hub run
--help and its siblings explain each; rimward node is the other side.
"""
EXAMPLES_RUN = """\
examples:
  rimward hub run --app app.py
  rimward hub run --app app.py --listen 0.0.0.0:8422 --advertise hub.example
  rimward hub run --manifest app.manifest --config hub.toml

Nodes on other machines come by TLS, with a certificate that the hub makes itself; its fingerprint is in each
join string.
"""
EXAMPLES_STRING = """\
examples:
  rimward hub token
  rimward hub token --site harbour --expires 10m
  rimward hub token | ssh truck-7 rimward node join --name truck-7

The string is good once. Whoever has it can become a node: give it away as you would a password.
"""
EXAMPLES_REVOKE = """\
examples:
  rimward hub revoke truck-7

Its connection ends within seconds where the hub runs, and its name is free for another machine. What it has
sent stays.
"""
EXAMPLES_RELEASE = """\
examples:
  rimward hub release truck-7

For a node of which two outboxes were live under one name, such as a copied disk: the hub takes nothing of the
second until the first is silent, or this is said. Its rows are moved to starts of their own and nothing
doubles. Two machines that go on need two names.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    words = parser.add_subparsers(dest="word", metavar="run|token|revoke|release", required=True)
    one = words.add_parser("run", description="run a hub on this machine", epilog=EXAMPLES_RUN)
    what = one.add_mutually_exclusive_group()
    what.add_argument(
        "--app", metavar="APP", help="app.py or package.module:app; its cloud functions run too"
    )
    text = "what rimward check APP --manifest FILE wrote, where the app itself is not here"
    what.add_argument("--manifest", type=Path, metavar="FILE", help=text)
    text = "of the enrolment; the bus listens on the same host (default: 127.0.0.1:8422, this machine alone)"
    one.add_argument("--listen", type=_listen, metavar="HOST:PORT", default=("127.0.0.1", 8422), help=text)
    text = "the bus's port, 0 picks one and keeps it (default: 4222)"
    one.add_argument("--bus-port", type=port, metavar="PORT", default=4222, help=text)
    text = "the name or address by which nodes reach this machine (default: --listen's)"
    one.add_argument("--advertise", metavar="HOST", default="", help=text)
    one.add_argument("--region", metavar="NAME", default="local", help="(default: local)")
    one.add_argument("--config", type=Path, metavar="FILE", help="TOML: limits, and a bus of somebody else's")
    text = "stop by itself, counted from ready"
    one.add_argument("--for", dest="duration", type=duration, metavar="SECONDS", help=text)
    token = words.add_parser("token", description="print a string that makes a node", epilog=EXAMPLES_STRING)
    token.add_argument("--site", metavar="SITE", default="local", help="where the node is (default: local)")
    text = "how long it is good (default: 1h)"
    token.add_argument("--expires", type=duration, metavar="TIME", default=3600.0, help=text)
    gone = words.add_parser("revoke", description="let a node in no more", epilog=EXAMPLES_REVOKE)
    out = words.add_parser("release", description="let a node out of quarantine", epilog=EXAMPLES_RELEASE)
    for below in (gone, out):
        below.add_argument("node", metavar="NODE")
    for below in (one, token, gone, out):
        text = f"data folder (default: {DEFAULT})"
        below.add_argument("--data", type=Path, metavar="DIR", default=DEFAULT, help=text)
        below.add_argument("--json", action="store_true", help="write JSON lines")


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    match options.word:
        case "run":
            return _run(options)
        case "token":
            return _token(options)
        case "revoke":
            return _revoke(options)
        case _:
            return _release(options)


def _run(options: argparse.Namespace) -> int:
    from rimward.local.hub import run
    from rimward.local.listeners import WILD
    from rimward.local.options import HubOptions
    from rimward.local.telling import Lines

    address, number = options.listen
    if address in WILD and not options.advertise:
        raise CommandError(
            f"--listen {address} is every address of this machine: "
            "say by --advertise HOST which one nodes use"
        )
    wanted = HubOptions(
        data=options.data,
        app=options.app,
        manifest=options.manifest,
        config=options.config,
        host=address,
        port=number,
        bus_port=options.bus_port,
        advertise=options.advertise,
        region=options.region,
        duration=options.duration,
    )
    asyncio.run(run(wanted, Lines("hub", json=options.json)))
    return 0


def _token(options: argparse.Namespace) -> int:
    from rimward.local.hubplan import address_of
    from rimward.wire.joining import JoinString

    folder = _folder(options.data)
    address = address_of(folder)
    if address is None:
        raise CommandError(f"no hub has run in {options.data} yet: start it with rimward hub run")
    enrolments = _enrolments(folder)
    try:
        secret, expires = enrolments.issue(options.site, options.expires)
    finally:
        enrolments.close()
    text = JoinString(address.url, address.authority, secret, options.site, expires).encode()
    if options.json:
        json_line({"join": text, "url": address.url, "site": options.site, "expires": expires})
    else:
        print(text)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    enrolments = _enrolments(_folder(options.data))
    try:
        enrolments.revoke(options.node)
    finally:
        enrolments.close()
    if options.json:
        json_line({"revoked": options.node})
    else:
        say(f"{options.node} may not come in any more")
    return 0


def _release(options: argparse.Namespace) -> int:
    from rimward.cloud.ingest.releasing import Releases

    data: Path = options.data.absolute()
    if not (data / "hub").is_dir():
        raise CommandError(f"{data} is not a hub's data folder: name one with --data DIR")
    Releases(data).add(options.node, time.time_ns())
    if options.json:
        json_line({"released": options.node})
    else:
        say(f"a quarantined outbox of {options.node} is let in when it asks next, within a minute")
    return 0


def _folder(data: Path) -> "DataFolder":
    from rimward.local.folder import DataFolder

    return DataFolder(data)


def _enrolments(folder: "DataFolder") -> "Enrolments":
    from rimward.cloud.control.enrolment import Enrolments

    path = folder.root / "hub" / "enrol.db"
    if not path.exists():
        raise CommandError(f"{folder.root} is not a hub's data folder: name one with --data DIR")
    return Enrolments(path)


def _listen(text: str) -> tuple[str, int]:
    """Read where to listen.

    Raises:
        argparse.ArgumentTypeError: it is not HOST:PORT.
    """
    with suppress(ValueError, argparse.ArgumentTypeError):
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None:
            return host(parts.hostname), parts.port
    raise argparse.ArgumentTypeError(f"{text!r} is not an address such as 192.168.1.5:8422")
