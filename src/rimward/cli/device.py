"""`rimward device add|list|remove|password|command`: who may come in, and what one is told to do.

The first four keep an access file; no secret is an argument.
"""

import argparse
import secrets
import ssl
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rimward.cli import commanding
from rimward.cli.output import json_line, say, table
from rimward.cli.parsing import CommandError, Parser, UsageError

if TYPE_CHECKING:
    from rimward.edge.access.file import Device

DEFAULT = "access.toml"
MIN_PASSWORD = 8  # characters
_SHOWS = ("password", "scram", "token", "certificate", "oscore")
_OSCORE = {  # as the device has them, in the words of RFC 8613
    "sender": "sender id", "recipient": "recipient id", "secret": "master secret", "salt": "master salt"
}  # fmt: skip
EXAMPLES = """\
examples:
  rimward device add truck-1
  rimward device add truck-2 --token
  rimward device list
  rimward device command truck-1 chill '{"mode": "max"}'

rimward device add --help and its siblings explain each. A node reads the file again when it changes: rimward
dev app.py --access access.toml.
"""
EXAMPLES_ADD = """\
examples:
  rimward device add truck-1
  rimward device add truck-1 --password-stdin --role sensor < password.txt
  rimward device add truck-2 --token
  rimward device add truck-3 --certificate truck-3.pem
  rimward device add meter-7 --oscore
  rimward device add fleet --user fleet --client 'truck-*'

Without an option it asks for a password. --token makes one and shows it once. --certificate takes the file of
a certificate, subject:NAME, or name:NAME of a subject alternative name. --oscore makes keys for CoAP and
shows what the device needs of them once.
"""
EXAMPLES_LIST = "examples:\n  rimward device list\n  rimward device list --json\n"
EXAMPLES_REMOVE = """\
examples:
  rimward device remove truck-1

Its connections are closed within seconds.
"""
EXAMPLES_CHANGE = """\
examples:
  rimward device password truck-1
  rimward device password truck-1 --password-stdin < password.txt
  rimward device password truck-1 --scram

Keys for SCRAM-SHA-256 are made anew where the device has any; --scram adds them where it has none.
Connections that were opened with the old one are closed within seconds.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    words = parser.add_subparsers(dest="word", metavar="add|list|remove|password|command", required=True)
    one = words.add_parser("add", description="let a device in", epilog=EXAMPLES_ADD)
    one.add_argument("id", metavar="ID", help="{client} in rules, and what the first capture has to be")
    how = one.add_mutually_exclusive_group()
    how.add_argument("--password-stdin", action="store_true", help="read the password from what comes in")
    how.add_argument("--token", action="store_true", help="make a token, for Bearer or as a password")
    how.add_argument("--certificate", metavar="FILE", help="of the client, or subject:NAME or name:NAME")
    how.add_argument("--oscore", action="store_true", help="make keys for OSCORE, of CoAP")
    one.add_argument("--scram", action="store_true", help="keep keys for SCRAM-SHA-256 of the password too")
    one.add_argument("--user", metavar="NAME", help="{user} in rules, and another name to log in with")
    one.add_argument("--role", metavar="NAME", action="append", default=[], help="that rules name")
    text = "MQTT client id that it may have beside its own; 'truck-*' for several"
    one.add_argument("--client", metavar="ID", action="append", default=[], help=text)
    shown = words.add_parser("list", description="show who may come in", epilog=EXAMPLES_LIST)
    gone = words.add_parser("remove", description="let a device in no more", epilog=EXAMPLES_REMOVE)
    new = words.add_parser("password", description="set a device's password", epilog=EXAMPLES_CHANGE)
    new.add_argument("--scram", action="store_true", help="keep keys for SCRAM-SHA-256 of it from now on")
    for below in (gone, new):
        below.add_argument("id", metavar="ID")
    new.add_argument("--password-stdin", action="store_true", help="read the password from what comes in")
    commanding.add_word(words)
    for below in (one, shown, gone, new):
        text = f"the access file (default: {DEFAULT})"
        below.add_argument("--access", type=Path, metavar="FILE", default=Path(DEFAULT), help=text)
        below.add_argument("--json", action="store_true", help="write JSON lines")


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    match options.word:
        case "add":
            return _add(options)
        case "list":
            return _list(options)
        case "remove":
            return _remove(options)
        case "command":
            return commanding.command(options)
        case _:
            return _password(options)


def _add(options: argparse.Namespace) -> int:
    from rimward.edge.access.book import digest_of
    from rimward.edge.access.editing import add, edit
    from rimward.edge.access.file import Device
    from rimward.edge.access.identity import TOKEN_PREFIX

    device = Device(
        options.id, options.user, roles=tuple(options.role), clients=tuple(options.client)
    )  # what it shows is below
    token: str | None = None
    if options.scram and (options.token or options.certificate or options.oscore):
        raise UsageError("--scram is for a password: leave away --token, --certificate and --oscore")
    if options.oscore:
        return _add_oscore(options, device)
    if options.token:
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        device = _with(device, token=digest_of(token))
    elif options.certificate is not None:
        device = _with(device, certificate=_certificate(options.certificate))
    else:
        device = _secret(device, _new_password(options), scram=options.scram)
    edit(options.access, add(device))
    if options.json:
        json_line({"added": device.id, "access": str(options.access), "token": token})
    else:
        say(f"{device.id} may come in: {options.access} has it")
        if token is not None:
            print(f"its token, which is shown this once: {token}")
    return 0


def _add_oscore(options: argparse.Namespace, device: "Device") -> int:
    """Make keys that no other device has: its id is the shortest that is free."""
    from msgspec.structs import replace

    from rimward.edge.access.editing import add, edit
    from rimward.edge.access.file import AccessFile
    from rimward.edge.access.oscore import made
    from rimward.protocols.coap import uint_bytes

    shared: dict[str, str] = {}

    def change(text: str, file: AccessFile) -> tuple[str, AccessFile]:
        taken = {one.oscore.recipient for one in file.device if one.oscore is not None}
        names = [uint_bytes(number) for number in range(1, len(taken) + 2)]
        free = next(name for name in names if name.hex() not in taken)
        keys = made(free, secrets.token_bytes(16), secrets.token_bytes(8))
        shared.update(sender=keys.recipient, recipient=keys.sender, secret=keys.secret, salt=keys.salt)
        return add(replace(device, oscore=keys))(text, file)

    edit(options.access, change)
    if options.json:
        json_line({"added": device.id, "access": str(options.access), "oscore": shared})
    else:
        say(f"{device.id} may come in: {options.access} has it")
        print("what the device needs, in hexadecimal, which is shown this once:")
        for name, value in shared.items():
            print(f"  {_OSCORE[name]}: {value or '(empty)'}")
    return 0


def _list(options: argparse.Namespace) -> int:
    from rimward.edge.access.file import read

    rows = [
        {
            "id": one.id,
            "user": one.user,
            "shows": [key for key in _SHOWS if getattr(one, key)],
            "roles": list(one.roles),
            "clients": list(one.clients),
        }
        for one in read(options.access).device
    ]
    if options.json:
        for row in rows:
            json_line(row)
    elif rows:
        cells = [[", ".join(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
        table(list(rows[0]), cells)
    else:
        print(f"{options.access} has no devices: rimward device add ID lets one in")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from rimward.edge.access.editing import edit, remove

    edit(options.access, remove(options.id))
    if options.json:
        json_line({"removed": options.id, "access": str(options.access)})
    else:
        say(f"{options.id} is removed; its connections end when the node has read the file again")
    return 0


def _password(options: argparse.Namespace) -> int:
    from rimward.edge.access.editing import edit, rewrite

    password = _new_password(options)
    edit(
        options.access,
        rewrite(options.id, lambda one: _secret(one, password, scram=options.scram or one.scram is not None)),
    )
    if options.json:
        json_line({"changed": options.id, "access": str(options.access)})
    else:
        say(f"{options.id} has a new password; what came in with the old one ends")
    return 0


def _with(device: "Device", **more: str) -> "Device":
    from msgspec.structs import replace

    return replace(device, **more)


def _secret(device: "Device", password: bytes, *, scram: bool) -> "Device":
    from msgspec.structs import replace

    from rimward.edge.access.passwords import hashed
    from rimward.edge.access.scram import scram_keys

    keys = scram_keys(_prepared(password)) if scram else None
    return replace(device, password=hashed(password), scram=keys)


def _prepared(password: bytes) -> bytes:
    """Return a password as clients of SCRAM hash it [RFC 5802 §2.2]."""
    from rimward.protocols.scram import ScramError, saslprep

    try:
        return saslprep(password.decode()).encode()
    except ScramError:
        raise CommandError(
            "the password has a character that SCRAM can't carry (RFC 4013): use letters, digits and signs"
        ) from None


def _new_password(options: argparse.Namespace) -> bytes:
    from rimward.edge.access.passwords import MAX_PASSWORD

    if options.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = _asked()
    else:
        raise UsageError(
            "say how it shows who it is: --password-stdin, --token, --certificate FILE or --oscore"
        )
    size = len(password.encode())
    if len(password) < MIN_PASSWORD or size > MAX_PASSWORD:
        raise CommandError(
            f"the password has {len(password)} characters: from {MIN_PASSWORD} to {MAX_PASSWORD} are allowed"
        )
    return password.encode()


def _asked() -> str:
    from getpass import getpass

    password = getpass("password: ")
    if getpass("again: ") != password:
        raise CommandError("the two passwords are not the same: try again")
    return password


def _certificate(text: str) -> str:
    if text.startswith(("subject:", "name:", "sha256:")):
        return text
    try:
        der = ssl.PEM_cert_to_DER_cert(_first(Path(text).read_text(encoding="ascii")))
    except OSError as error:
        raise CommandError(f"{text} can't be read ({error.strerror})") from None
    except ValueError:
        raise CommandError(f"{text} is no certificate in PEM form") from None
    return "sha256:" + sha256(der).hexdigest()


def _first(pem: str) -> str:
    """Return the first certificate of a file that may have a chain."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = pem.partition(begin)
    body, closed, _ = rest.partition(end)
    if not found or not closed:
        raise ValueError
    return begin + body + end + "\n"
