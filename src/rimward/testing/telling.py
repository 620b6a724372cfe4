"""What a Site tells of a test that failed."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from rimward.edge.dispatch.failures import place_of
from rimward.edge.outbox import DeadLetter
from rimward.events import RimwardError
from rimward.observe import Trace
from rimward.testing.ledger import Ledger

TOLD = 10  # errors and dead letters that a failed test's note names
TRACES = 5  # of the newest that it shows


class Shown(Protocol):
    """What a failed test is told of its Site."""

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Events that could not be worked on."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Where every forwarded row is."""
        ...

    @property
    def traces(self) -> list[Trace]:
        """The traces that were kept, oldest first."""
        ...


class Inside(NamedTuple):
    """A Site that a test has failed in."""

    app: str
    raised: Sequence[BaseException]
    site: Shown


def tell(error: BaseException, inside: Inside) -> None:
    """Add to an error, as a note, what went wrong in a Site, where its rows are and what it did last."""
    wrong = [f"{type(one).__name__}: {one} at {place_of(one)}: see site.errors" for one in inside.raised]
    wrong += _read("dead letters", lambda: list(_letters(inside.site.dead_letters)))
    more = _read("ledger", lambda: list(_rows(inside.site.ledger)))
    more += [_trace(trace) for trace in inside.site.traces[-TRACES:]]
    if not wrong and not more:
        return
    error.add_note(f"In the Site of {inside.app!r}:")
    if len(wrong) > TOLD:
        wrong = [*wrong[:TOLD], f"and {len(wrong) - TOLD} more"]
    for line in (*wrong, *more):
        error.add_note(f"  {line}")


def _read(what: str, lines: Callable[[], list[str]]) -> list[str]:
    try:
        return lines()
    except (sqlite3.Error, OSError, RimwardError) as unreadable:  # the error that is told of comes first
        return [f"the {what} can't be read: {unreadable}"]


def _letters(letters: list[DeadLetter]) -> Iterator[str]:
    for letter in letters:
        yield f"dead letter of {letter.source} from {letter.sender}: {letter.reason}: {letter.detail}"


def _rows(ledger: Ledger) -> Iterator[str]:
    for one in ledger.entries:
        if one.forwarded or one.stored:
            wrong = "" if one.missing == 0 else f", {one.missing} missing"
            yield (
                f"rows of {one.fact}: {one.forwarded} forwarded, {one.stored or 0} stored, "
                f"{one.waiting or 0} waiting, {one.dead_lettered} dead, {one.discarded} discarded{wrong}"
            )


def _trace(trace: Trace) -> str:
    """Return a trace in one line; names and counts, no payloads."""
    end = f", {trace.error}" if trace.error else ""
    return (
        f"trace of {trace.source} from {trace.sender}: {trace.function}, "
        f"{trace.actions} actions, {len(trace.rows)} rows{end}"
    )
