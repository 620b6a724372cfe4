"""`rimward dev APP`."""

import argparse
import asyncio
import os
from pathlib import Path

from rimward.cli.listening import add_outside, add_ports, add_uplink, check_outside, listening
from rimward.cli.parsing import CommandError, Parser, bus, count, duration

BUS_VARIABLE = "RIMWARD_BUS"  # --bus, for addresses with a password: arguments are seen in lists of processes
EXAMPLES = """\
examples:
  rimward dev app.py
  rimward dev app.py --simulate 3
  rimward dev package.module:app --data /tmp/try --mqtt 0 --http 0
  rimward dev app.py --for 20 --json
  rimward dev app.py --host 0.0.0.0 --access access.toml --tls-cert node.pem --tls-key node.key

Without --host no other machine can connect. Saving the app restarts it; a mistake is told and the old version
runs on.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("app", metavar="APP", help="app.py or package.module:app")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", default=Path(".rimward"), help="(default: .rimward)"
    )
    add_ports(parser, console=True)
    add_outside(parser)
    add_uplink(parser)
    parser.add_argument(
        "--replay", metavar="FILE", help="a recording to replay as devices, or recordings:wearables"
    )
    parser.add_argument(
        "--speed", default="1", metavar="N", help="of the replay: a factor, or max (default: 1)"
    )
    parser.add_argument(
        "--simulate",
        type=count,
        metavar="N",
        default=0,
        help="make N plausible devices, one message a second each",
    )
    text = "processes that take rows into the lake, each its share of the nodes, up to 16 (default: 1)"
    parser.add_argument(
        "--ingest-processes", type=int, choices=range(1, 17), metavar="N", default=1, help=text
    )
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of what they say (default: 1)")
    parser.add_argument(
        "--events", action="store_true", help="tell committed rows as CloudEvents on the bus (NATS)"
    )
    text = f"a NATS server with JetStream that runs already (default: ${BUS_VARIABLE}, else one is started)"
    parser.add_argument("--bus", type=bus, metavar="URL", help=text)
    text = "stop by itself, counted from ready"
    parser.add_argument("--for", dest="duration", type=duration, metavar="SECONDS", help=text)
    parser.add_argument("--json", action="store_true", help="write JSON lines")


def run(options: argparse.Namespace) -> int:
    """Run until stopped."""
    from rimward.local.dev import run
    from rimward.local.options import DevOptions
    from rimward.local.telling import JsonTeller, PeopleTeller

    check_outside(options)
    replay: str | None = options.replay
    if replay is not None and not replay.startswith("recordings:") and not Path(replay).is_file():
        raise CommandError(f"there is no file {replay}: name a recording, or --replay recordings:wearables")
    address: str | None = options.bus
    if address is None and (text := os.environ.get(BUS_VARIABLE)):
        try:
            address = bus(text)
        except argparse.ArgumentTypeError as error:
            raise CommandError(f"{BUS_VARIABLE}: {error}: correct it, or unset it") from None
    wanted = DevOptions(
        app=options.app,
        data=options.data,
        **listening(options),
        console=options.console,
        replay=replay,
        speed=options.speed,
        simulate=options.simulate,
        seed=options.seed,
        ingest_processes=options.ingest_processes,
        events=options.events,
        bus=address,
        duration=options.duration,
    )
    asyncio.run(run(wanted, JsonTeller() if options.json else PeopleTeller()))
    return 0
