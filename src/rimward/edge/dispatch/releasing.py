"""Releasing the effects of a call that has returned: its reply, state, facts and actions, or nothing."""

from collections.abc import Callable
from typing import Any, Protocol

from rimward.app.forms import Checked
from rimward.edge.dispatch.call import Call
from rimward.edge.dispatch.carried import reply_of
from rimward.edge.dispatch.firing import Firing
from rimward.edge.dispatch.functions import Bound, Held
from rimward.edge.dispatch.ports import Clocks, Conduct
from rimward.edge.dispatch.pouring import pour
from rimward.edge.dispatch.types import Reply, Router
from rimward.edge.dispatch.watching import Watching
from rimward.edge.dispatch.work import Work


class Host(Protocol):
    """What it asks of the dispatcher."""

    counters: dict[str, int]
    clocks: Clocks
    conduct: Conduct
    words: memoryview
    router: Router
    watching: Watching
    actions: int
    firing: Firing

    def wall(self) -> int:
        """Return the wall clock, ns since the epoch."""
        ...


def take_reply(counters: dict[str, int], work: Work, result: Any) -> None:
    """Take what a function returned: the first value is the reply, what nobody asked for is counted.

    It raises where it can't be written.
    """
    if result is None:
        return
    if not work.wants_reply or work.reply is not None:
        counters["replies_dropped"] += 1
    else:
        work.reply = result if isinstance(result, Reply) else reply_of(result, work)


def _changes(bound: Bound, held: Held) -> list[Checked[Any] | None]:
    """Return what a call has left in its cells, where it has changed them.

    Raises:
        StateInvalid: it can't be kept.
        StatesFull: there is no room for a new cell.
    """
    changes = [handle.checked() for handle in held.handles]
    for slot, cell, change in zip(bound.slots, held.cells, changes, strict=True):
        if change is not None:
            slot.cells.admit(cell)
    return changes


def release(host: Host, bound: Bound, call: Call, held: Held | None, work: Work, result: Any) -> None:
    """Release a call's effects; it raises, and releases nothing, where reply or state can't be written."""
    changes = None if held is None else _changes(bound, held)
    if bound.run.streams:
        result = pour(result, bound.run, work, host)
    take_reply(host.counters, work, result)  # first: a reply that can't be written leaves nothing else
    if held is not None and changes is not None:
        for slot, cell, change in zip(bound.slots, held.cells, changes, strict=True):
            if change is None:
                continue
            undo: list[Callable[[], None]] = []
            puts = slot.cells.commit(slot.key, cell, change, undo, work.ends)
            if puts:
                work.tx.puts += puts
            work.steps += undo
            if host.watching.cells:
                work.changed.append((slot.cells.space, slot.key))
        if call.timers:
            host.firing.ask(call.timers, work)
    if call.forwards:
        work.tx.forwards += call.forwards
        host.counters["forwards"] += len(call.forwards)
    if call.actions:
        host.router.publish_all(call.actions)
        host.actions += len(call.actions)
        work.actions += len(call.actions)
