"""What a node's functions remember when a recording begins: committed cells, and open windows."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from rimward.edge.dispatch import Dispatcher
from rimward.wire.recording import Kept, Line

WINDOWS = 2_000  # keys of streams; taking one costs the loop some 5 µs, a cell a twentieth of that
CELLS = 200_000


class Memory(NamedTuple):
    """One value, written off the loop."""

    space: str
    key: str
    value: Callable[[], bytes]


def memory_of(dispatcher: Dispatcher) -> list[Memory] | None:
    """Return all of it as it is now; None where it is too much to be taken between two events."""
    cells = list(dispatcher.cells.values())
    windows = sum(len(stream.keys) for stream in dispatcher.streams.values())
    if sum(map(len, cells)) > CELLS or windows > WINDOWS:
        return None
    found: list[Memory] = []
    for one in cells:
        found += [Memory(*kept) for kept in one.kept()]
    for stream in dispatcher.streams.values():
        found += [Memory(stream.keys.space, key, partial(bytes, value)) for key, value in stream.keys.kept()]
    found += [Memory(space, key, partial(bytes, value)) for space, key, value in dispatcher.firing.kept()]
    return found


def lines_of(memory: list[Memory], limit: int) -> list[Line] | None:
    """Return it as lines; None where they would be more than `limit` bytes."""
    lines: list[Line] = []
    size = 0
    for line in _lines(memory):
        size += len(line.key) + len(line.value)
        if size > limit:
            return None
        lines.append(line)
    return lines


def _lines(memory: list[Memory]) -> Iterator[Kept]:
    for space, key, value in memory:
        yield Kept(space, key, value())
