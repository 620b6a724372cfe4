"""What a benchmark found: figures with their bars, as a table or as JSON lines."""

import json
import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import TextIO

import msgspec
from msgspec import Struct

_HOLDS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


class Bar(Struct, frozen=True):
    """What a figure must not pass."""

    sign: str  # "<=" or ">="
    limit: float

    def holds(self, value: float) -> bool:
        """Return whether the value is on the right side."""
        return _HOLDS[self.sign](value, self.limit)

    def __str__(self) -> str:
        return f"{self.sign} {_number(self.limit)}"


class Figure(Struct, frozen=True):
    """One measured value; without a bar it is only told."""

    name: str
    value: float | None  # None: could not be measured here
    unit: str
    bar: Bar | None = None
    spread: tuple[float, float] | None = None  # smallest and largest of the rounds
    peers: Mapping[str, float] = {}  # by name, in the same unit
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar. What was not measured meets none."""
        if self.bar is None:
            return None
        return self.value is not None and self.bar.holds(self.value)


def single(name: str, unit: str, values: Sequence[float], bar: Bar | None = None, note: str = "") -> Figure:
    """Return the figure of some rounds, which has no peers."""
    return Figure(name, median(values), unit, bar, (min(values), max(values)), note=note)


def print_json(figures: Iterable[Figure], out: TextIO) -> None:
    """Write one JSON object a figure."""
    for figure in figures:
        line: dict[str, object] = {
            "figure": figure.name,
            "value": figure.value,
            "unit": figure.unit,
            "bar": None if figure.bar is None else str(figure.bar),
            "met": figure.met,
            "spread": figure.spread,
            "peers": figure.peers,
        }
        if figure.note:
            line["note"] = figure.note
        out.write(msgspec.json.encode(line).decode() + "\n")


def print_table(figures: Iterable[Figure], out: TextIO) -> None:
    """Write the figures for people, and then how many bars are met."""
    figures = list(figures)
    rows = [("figure", "value", "spread", "bar", "", "peers")]
    rows += [_row(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        out.write("  ".join([*cells, row[5]]).rstrip() + "\n")
    for figure in figures:
        if figure.note:
            out.write(f"{figure.name}: {figure.note}\n")
    verdicts = [figure.met for figure in figures if figure.met is not None]
    out.write(f"{sum(verdicts)} of {len(verdicts)} bars met\n")


def print_report(figures: Sequence[Figure], machine: Mapping[str, object], *, as_json: bool) -> int:
    """Write the machine and its figures to standard output; return 1 when a bar is missed, else 0."""
    if as_json:
        print(json.dumps(machine))
        print_json(figures, sys.stdout)
    else:
        print("\n".join(f"{name}: {what}" for name, what in machine.items()))
        print_table(figures, sys.stdout)
    return 0 if all_met(figures) else 1


def all_met(figures: Iterable[Figure]) -> bool:
    """Return whether no bar is missed."""
    return all(figure.met is not False for figure in figures)


def _row(figure: Figure) -> tuple[str, str, str, str, str, str]:
    value = "not measured" if figure.value is None else f"{_number(figure.value)} {figure.unit}".strip()
    spread = "" if figure.spread is None else " .. ".join(map(_number, figure.spread))
    bar = "" if figure.bar is None else str(figure.bar)
    met = {True: "met", False: "MISSED", None: ""}[figure.met]
    peers = ", ".join(f"{name} {_number(value)}" for name, value in figure.peers.items())
    return figure.name, value, spread, bar, met, peers


def _number(value: float) -> str:
    """Return three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
