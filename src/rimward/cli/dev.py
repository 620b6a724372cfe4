"""`rimward dev APP`."""

import argparse
import asyncio
import os
from pathlib import Path

from rimward.cli.parsing import CommandError, Parser, bus, count, duration, host, port

LOCAL = frozenset({"127.0.0.1", "::1"})
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
    ports = {"mqtt": 1883, "http": 8080, "coap": 5683, "console": 8088, "mqtts": 8883, "https": 8443}
    for name, default in ports.items():
        when = ", with --tls-cert" if name in {"mqtts", "https"} else ""
        text = f"{name} port{when}, 0 picks a free one (default: {default})"
        parser.add_argument(f"--{name}", type=port, metavar="PORT", default=default, help=text)
    _add_outside(parser)
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
    parser.add_argument("--seed", type=int, metavar="N", default=1, help="of what they say (default: 1)")
    parser.add_argument(
        "--events", action="store_true", help="tell committed rows as CloudEvents on the bus (NATS)"
    )
    text = f"a NATS server with JetStream that runs already (default: ${BUS_VARIABLE}, else one is started)"
    parser.add_argument("--bus", type=bus, metavar="URL", help=text)
    text = "stop by itself, counted from ready"
    parser.add_argument("--for", dest="duration", type=duration, metavar="SECONDS", help=text)
    parser.add_argument("--json", action="store_true", help="write JSON lines")


def _add_outside(parser: Parser) -> None:
    text = "where other machines connect; needs --access or --anonymous (default: 127.0.0.1, no other can)"
    parser.add_argument("--host", type=host, metavar="ADDRESS", default="127.0.0.1", help=text)
    parser.add_argument("--access", type=Path, metavar="FILE", help="says who may do what")
    parser.add_argument("--anonymous", action="store_true", help="who reaches --host need not say who he is")
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="PEM with its chain: MQTT and HTTP over TLS as well"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM, the certificate's key")


def _check_outside(options: argparse.Namespace) -> None:
    """Refuse what would let others in unasked, and files that are not there.

    Raises:
        CommandError: one of them.
    """
    if options.access is not None and options.anonymous:
        raise CommandError("--access says who may, --anonymous that everybody may: leave one away")
    if options.host not in LOCAL and options.access is None and not options.anonymous:
        raise CommandError(
            f"--host {options.host} lets other machines in, and nobody is asked who he is: "
            "--access FILE says who may, --anonymous that everybody may"
        )
    if (options.tls_cert is None) != (options.tls_key is None):
        given, needed = ("cert", "key") if options.tls_key is None else ("key", "cert")
        raise CommandError(f"--tls-{given} needs --tls-{needed}: name both, which may be one file")
    for flag in ("access", "tls_cert", "tls_key"):
        path: Path | None = getattr(options, flag)
        if path is not None and not path.is_file():
            raise CommandError(f"--{flag.replace('_', '-')}: there is no file {path}: name one that is there")


def run(options: argparse.Namespace) -> int:
    """Run until stopped."""
    from rimward.local.dev import run
    from rimward.local.options import DevOptions
    from rimward.local.telling import JsonTeller, PeopleTeller

    _check_outside(options)
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
        mqtt=options.mqtt,
        http=options.http,
        console=options.console,
        coap=options.coap,
        mqtts=options.mqtts,
        https=options.https,
        host=options.host,
        access=options.access,
        anonymous=options.anonymous,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        replay=replay,
        speed=options.speed,
        simulate=options.simulate,
        seed=options.seed,
        events=options.events,
        bus=address,
        duration=options.duration,
    )
    asyncio.run(run(wanted, JsonTeller() if options.json else PeopleTeller()))
    return 0
