"""The functions that one message triggers, one after the other, and then its streams."""

from typing import Protocol

from rimward.edge.cells import Cell
from rimward.edge.dispatch.feeding import Feeder
from rimward.edge.dispatch.functions import Bound
from rimward.edge.dispatch.ports import Listeners
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.version import Version
from rimward.edge.dispatch.work import Work


class Host(Protocol):
    """What it asks of the dispatcher."""

    feeder: Feeder
    version: Version

    def run(self, bound: Bound, time_field: str | None, work: Work) -> None:
        """Run one function."""
        ...

    def end(self, work: Work, /) -> Ticket | None:
        """Commit and answer."""
        ...


def run_all(host: Host, work: Work, listeners: Listeners, first: int = 0, *, waits: bool) -> None:
    """Run a message's functions in the order of the file, from one on.

    One that shares a cell with an earlier one that goes on waits until that has let go of it.
    """
    for number in range(first, len(listeners.bounds)):
        bound, time_field = listeners.bounds[number]
        if number and (cell := held_cell(bound)) is not None:
            _wait(host, work, listeners, number, cell, waits=waits)
            return
        if bound.run.durable or work.detached:
            host.run(bound, time_field, work)
        else:
            _run_aside(host, bound, time_field, work)
    for inlet in () if work.comes_again else listeners.streams:
        host.feeder.feed(inlet, work, waits=waits)


def held_cell(bound: Bound) -> Cell | None:
    """Return the first cell of a function that a call holds."""
    for slot in bound.slots:
        if (cell := slot.cells.held(slot.key)) is not None:
            return cell
    return None


def _wait(host: Host, work: Work, listeners: Listeners, number: int, cell: Cell, *, waits: bool) -> None:
    version = host.version

    def go_on() -> None:
        work.pending -= 1
        if host.version is not version:  # functions that have begun go on; the keys of streams have moved
            listeners.streams = host.version.listeners(listeners).streams
        run_all(host, work, listeners, number, waits=waits)
        if not work.pending:
            ticket = work.ticket
            if host.end(work) is None and ticket is not None:
                ticket.finish()

    work.pending += 1
    cell.waiting.appendleft(go_on)  # before other messages: this one has begun


def _run_aside(host: Host, bound: Bound, time_field: str | None, work: Work) -> None:
    """Run a function that is not durable: its commits are its own, and the answer waits for none.

    What it says before its first wait is still part of the answer.
    """
    aside = work.aside()
    host.run(bound, time_field, aside)
    if aside.pending:
        return
    if aside.refusal is not None:
        work.refuse(aside.refusal.kind, aside.refusal.detail)
    work.reply, aside.reply, aside.refusal = work.reply or aside.reply, None, None
    host.end(aside)
