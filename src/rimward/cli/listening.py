"""Where a node listens, as `rimward dev` and `rimward node run` are told."""

import argparse
from pathlib import Path
from typing import Any

from rimward.cli.parsing import CommandError, Parser, host, port, rate

LOCAL = frozenset({"127.0.0.1", "::1"})
PORTS = {"mqtt": 1883, "http": 8080, "coap": 5683, "console": 8088, "mqtts": 8883, "https": 8443}
OUTSIDE = ("uplink_rate", "host", "access", "anonymous", "tls_cert", "tls_key")


def add_ports(parser: Parser, *, console: bool) -> None:
    """Take a port for each gateway."""
    for name, default in PORTS.items():
        if name == "console" and not console:
            continue
        when = ", with --tls-cert" if name in {"mqtts", "https"} else ""
        text = f"{name} port{when}, 0 picks a free one (default: {default})"
        parser.add_argument(f"--{name}", type=port, metavar="PORT", default=default, help=text)


def add_outside(parser: Parser) -> None:
    """Take what lets other machines in."""
    text = "where other machines connect; needs --access or --anonymous (default: 127.0.0.1, no other can)"
    parser.add_argument("--host", type=host, metavar="ADDRESS", default="127.0.0.1", help=text)
    parser.add_argument("--access", type=Path, metavar="FILE", help="says who may do what")
    parser.add_argument("--anonymous", action="store_true", help="who reaches --host need not say who he is")
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="PEM with its chain: MQTT and HTTP over TLS as well"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM, the certificate's key")


def add_uplink(parser: Parser) -> None:
    """Take the rate of the uplink."""
    text = "the most that goes to the hub, such as 64kbit/s (default: as much as there is)"
    parser.add_argument("--uplink-rate", type=rate, metavar="RATE", help=text)


def check_outside(options: argparse.Namespace) -> None:
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


def listening(options: argparse.Namespace) -> dict[str, Any]:
    """Return what was said of it, by the fields of RunOptions."""
    names = (*(name for name in PORTS if name != "console"), *OUTSIDE)
    return {name: getattr(options, name) for name in names}
