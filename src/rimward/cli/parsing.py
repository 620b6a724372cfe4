"""Arguments, with mistakes told in one sentence."""

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rimward.events import RimwardError, nbytes, seconds

_CHOICE = re.compile(r"argument (\S+): invalid choice: '(.*?)' \(choose from (.*)\)")


class UsageError(RimwardError):
    """The command was asked wrongly."""

    code = "usage"


class CommandError(RimwardError):
    """The command can't do what it was asked; the message names a next step."""

    code = "command"


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Wraps paragraphs to the terminal; examples stay lines that can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return wrapped(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` instead of ending the process; every verb takes --debug."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=Formatter,
            allow_abbrev=False,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of a failure")

    @property
    def below(self) -> dict[str, "Parser"]:
        """The parsers of the words that a verb takes next, such as `mqtt` of `send`."""
        for action in self._actions:
            choices: Any = action.choices
            if isinstance(choices, dict):  # argparse's own way to keep them
                return choices  # pyright: ignore[reportUnknownVariableType] -- it made them of this class
        return {}

    @property
    def flags(self) -> list[argparse.Action]:
        """Every option, in the order of the help."""
        return [action for action in self._actions if action.option_strings]

    @property
    def places(self) -> list[argparse.Action]:
        """Every argument without a name, in order."""
        return [one for one in self._actions if not one.option_strings and not isinstance(one.choices, dict)]

    def add_data(self) -> None:
        """Take --data and --json, as every verb that looks at a run does."""
        self.add_argument(
            "--data", type=Path, metavar="DIR", help="data folder (default: the nearest .rimward)"
        )
        self.add_argument("--json", action="store_true", help="write JSON lines")

    def error(self, message: str) -> NoReturn:
        """Raise the mistake, with the nearest flag that exists.

        Raises:
            UsageError: always.
        """
        if match := _CHOICE.fullmatch(message):
            known = re.findall(r"[\w-]+", match[3])
            raise UsageError(
                f"{match[1]}: {match[2]!r} is none of {', '.join(known)}{_hint(match[2], known)}"
            )
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            wrong = message.removeprefix(prefix).split()[0]
            known = list(self._option_string_actions)
            for parser in self.below.values():
                known += parser._option_string_actions
            raise UsageError(f"{wrong!r} is not known{_hint(wrong.partition('=')[0], known)}")
        raise UsageError(message)


def near(wrong: str, known: Iterable[str]) -> str:
    """Return a question that names the most alike of the known words, or nothing."""
    from difflib import get_close_matches  # only a mistake needs it

    found = get_close_matches(wrong, list(known), 1, 0.6)
    return f"did you mean {found[0]!r}? " if found else ""


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Return a text with its paragraphs no wider than `width`; indented lines stay as they are."""
    import textwrap

    def fill(block: str) -> str:
        raw = "\n  " in block or block.startswith((" ", "usage:"))
        return textwrap.indent(block, indent) if raw else textwrap.fill(block, width, initial_indent=indent)

    return "\n\n".join(fill(block) for block in text.strip().split("\n\n"))


def _hint(wrong: str, known: Iterable[str]) -> str:
    question = near(wrong, known).strip()
    return f", {question}" if question else ""


def count(text: str) -> int:
    """Read a number from 1 on.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000000")
    return int(text)


def size(text: str) -> int:
    """Read bytes: a number, or a size such as 64MiB.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    try:
        return nbytes(int(text) if text.isdecimal() else text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, as 64MiB is") from None


def positive(text: str) -> float:
    """Read a number above 0.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def port(text: str) -> int:
    """Read a port; 0 asks for a free one.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def host(text: str) -> str:
    """Read an address to listen on.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    import ipaddress  # one option of one verb needs it

    try:
        return str(ipaddress.ip_address("127.0.0.1" if text == "localhost" else text.strip("[]")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an IP address such as 192.168.1.5, or 0.0.0.0 for all of them"
        ) from None


def bus(text: str) -> str:
    """Read the address of a NATS server.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"nats", "tls"} and parts.hostname and parts.port
    except ValueError:
        whole = False
    if not whole:
        shown = text.rpartition("@")[2]  # a password stays where it is
        raise argparse.ArgumentTypeError(
            f"{shown!r} is not an address such as nats://user:password@host:4222"
        )
    return text


def rate(text: str) -> str:
    """Check the rate of a link.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    from rimward.network.pace import parse_rate

    try:
        parse_rate(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate such as 64kbit/s or 2Mbit/s") from None
    return text


def duration(text: str) -> float:
    """Read seconds: a number, or a duration such as 30s or 2m.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    try:
        value = float(text) if text.replace(".", "", 1).isdecimal() else seconds(text)
    except (ValueError, TypeError, RimwardError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 20, 30s or 2m") from None
    return value
