"""Operators driven as a node drives them: the clock is the newest event's time, due work is done at once."""

from collections.abc import Callable, Sequence
from typing import Any

from rimward.streams import Aside, Chain, Item, Operator, run
from rimward.streams.chain import Line
from rimward.streams.snapshots import pack, unpack

END = 1 << 60  # ns; later than anything

Event = tuple[int, Any]  # event time, value
Make = Callable[[Aside], Chain]


def line(make: Callable[[Aside], Operator]) -> Make:
    return lambda aside: Line([make(aside)], aside)


def drive(
    make: Make, events: Sequence[tuple[int, Event]], *, cut: int | None = None, end: bool = True
) -> tuple[list[Event], list[Event]]:
    """Return what leaves and what is late; before event `cut` it comes back from a snapshot.

    Events are of a source each.
    """
    aside = Aside()
    chain, clock = make(aside), -(1 << 60)
    out: list[Item] = []
    for index, (source, (time, value)) in enumerate(events):
        if index == cut:
            saved = unpack(pack(chain.snapshot()))
            chain = make(aside)
            chain.restore(saved)
        clock = max(clock, time)
        out += run(chain, source, (time, value, None), clock)
    if end:
        out += chain.advance(END)
        assert chain.deadline() is None
    assert aside.errors == []
    assert aside.unfit == 0
    assert len(aside.lates) == chain.late or cut is not None
    marks = [mark for _, _, mark in out if mark is not None]
    assert len(set(marks)) == len(marks), "each item that an operator makes has a name of its own"
    return [(time, value) for time, value, _ in out], [(time, value) for time, value, _ in aside.lates]


def one(events: Sequence[Event]) -> list[tuple[int, Event]]:
    """Return events of the only source."""
    return [(0, event) for event in events]
