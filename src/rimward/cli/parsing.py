"""Arguments, with mistakes told in one sentence."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from rimward.events import RimwardError, seconds


class UsageError(RimwardError):
    """The command was asked wrongly."""

    code = "usage"


class CommandError(RimwardError):
    """The command can't do what it was asked; the message names a next step."""

    code = "command"


class Parser(argparse.ArgumentParser):
    """Raises `UsageError` instead of ending the process; every verb takes --debug."""

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--debug", action="store_true", help="show the traceback of a failure")

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
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            wrong = message.removeprefix(prefix).split()[0]
            hint = near(wrong.partition("=")[0], self._option_string_actions).removesuffix(" ")
            raise UsageError(f"{wrong!r} is not known" + (f", {hint.removesuffix('?')}?" if hint else ""))
        raise UsageError(message)


def near(wrong: str, known: Iterable[str]) -> str:
    """Return a question that names the most alike of the known words, or nothing."""
    from difflib import get_close_matches  # only a mistake needs it

    found = get_close_matches(wrong, list(known), 1, 0.6)
    return f"did you mean {found[0]!r}? " if found else ""


def port(text: str) -> int:
    """Read a port; 0 asks for a free one.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


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
