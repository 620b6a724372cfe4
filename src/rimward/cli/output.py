"""Tables for people, JSON lines for programs."""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from rimward.local.text import printable

WIDEST = 60  # characters of one cell
NARROWEST = 6  # characters that a column keeps on a narrow terminal


def bold(text: str) -> str:
    """Return a heading as the terminal shows one: plain where it is none, or NO_COLOR is set."""
    return f"\x1b[1m{text}\x1b[0m" if _is_styled() else text


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print aligned columns, numbers to the right; control characters are escaped.

    Columns that would not fit the terminal are cut with an ellipsis; a file or pipe gets all of them.
    """
    values = [list(row) for row in rows]
    texts = [[_cell(value) for value in row] for row in values]
    names = [printable(name) for name in head]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    widths = _fitted(widths)
    right = [_numeric(row[index] for row in values) for index in range(len(names))]
    for line in (names, ["-" * width for width in widths], *texts):
        cells = (
            _cut(text, width).rjust(width) if number else _cut(text, width).ljust(width)
            for text, width, number in zip(line, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())


def json_line(content: Any) -> None:
    """Print one JSON line."""
    print(msgspec.json.encode(content, enc_hook=_plain).decode())


def span(ns: float) -> str:
    """Return a duration given in ns, with three digits and its unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"


def _is_styled() -> bool:
    plain_terminal = os.environ.get("TERM", "dumb") == "dumb"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not plain_terminal


def _fitted(widths: list[int]) -> list[int]:
    if not sys.stdout.isatty():
        return widths
    from shutil import get_terminal_size

    fitted, room = list(widths), get_terminal_size().columns - 2 * (len(widths) - 1)
    while sum(fitted) > room and max(fitted) > NARROWEST:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _cell(value: Any) -> str:
    match value:
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case float():
            text = f"{value:.6g}"
        case datetime() | date() | time():
            text = value.isoformat()
        case bytes():
            text = value.hex()
        case list() | dict():
            text = msgspec.json.encode(value, enc_hook=_plain).decode()
        case _:
            text = str(value)
    return _cut(printable(text), WIDEST)


def _numeric(values: Iterable[Any]) -> bool:
    return all(value is None or (isinstance(value, int | float | Decimal)) for value in values)


def plain(value: Any) -> Any:
    """Return a database's number as JSON's: whole decimals as integers, others as floats."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _plain(value: Any) -> Any:
    return str(value)
