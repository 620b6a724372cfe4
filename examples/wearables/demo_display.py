"""What the demo shows: a block that is redrawn on a terminal, single lines elsewhere."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from examples.wearables.demo_figures import Look, Times

from rimward.console.model import Balance
from rimward.devices.replay import Counts, Report

DASH = "-"
MEANING = {
    "decode": "from the read of its bytes to a typed sample",
    "function": "the edge function itself",
    "commit": "a group of events made durable in the outbox",
    "uplink": "node to hub, from sealed to received",
    "lake": "committed to the Delta table",
    "action": "at the device: sample sent to buzz received",
}


class Display:
    """Shows progress: `update` as often as there is news, `line` for what stays."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.is_live = out.isatty()
        self._out = out
        self._drawn = 0  # lines of the block on the screen

    def line(self, text: str = "") -> None:
        """Print a line that stays."""
        self._clear()
        self._out.write(text + "\n")
        self._out.flush()

    def update(self, block: Sequence[str]) -> None:
        """Show the newest state: all lines of it on a terminal, the first two as one line elsewhere."""
        if not self.is_live:
            self.line("  ".join(block[:2]))
            return
        self._clear()
        width = shutil.get_terminal_size().columns
        for text in block:
            self._out.write(text[: width - 1] + "\n")
        self._drawn = len(block)
        self._out.flush()

    def _clear(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0


def progress(seconds: float, rate: float, report: Report | None, look: Look) -> list[str]:
    """Return the live block; its first two lines say the most."""
    total = report.total if report is not None else Counts()
    rows = ", ".join(f"{name} {n:,}" for name, n in look.rows.items()) or "none yet"
    devices = (
        f"{seconds:5.0f} s  {report.connected if report is not None else 0} devices  {rate:,.0f} events/s"
        f"  {total.sent:,} samples  {total.buzzes:,} actions"
    )
    lake = f"rows in the lake: {rows}; {look.waiting:,} on their way"
    return [devices, lake, "", *stage_table(look.stages, report)]


def stage_table(stages: Mapping[str, Times], report: Report | None) -> list[str]:
    """Return p50 and p99 of every stage, and of the action's round trip."""
    rows = dict(stages)
    if report is not None:
        trip = report.round_trip_us
        rows["action"] = Times(trip.count, trip.p50 * 1e3, trip.p99 * 1e3)
    lines = [f"  {'stage':<10}{'count':>10}{'p50':>12}{'p99':>12}"]
    for name, times in rows.items():
        p50, p99 = (_time(ns) if times.count else DASH for ns in (times.p50, times.p99))
        lines.append(f"  {name:<10}{times.count:>10,}{p50:>12}{p99:>12}   {MEANING[name]}")
    return lines


def equation(entry: Balance) -> str:
    """Return a fact's line of the ledger."""
    terms = ("stored", "waiting", "dead_lettered", "expired", "erased", "discarded")
    parts = [
        f"{getattr(entry, term)} {term.replace('_', '-')}"
        for term in terms
        if term in {"stored", "waiting"} or getattr(entry, term)
    ]
    verdict = "balanced" if entry.missing == 0 else f"{entry.missing} missing"
    return f"  {entry.fact:<10}{entry.forwarded:>8,} forwarded = {' + '.join(parts)}   {verdict}"


def _time(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"
