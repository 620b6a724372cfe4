"""Cells: the node's keyed state in memory, one call at a time for a key."""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.state import State, StateType
from rimward.edge.outbox import Put

MAX_WAITING = 1024  # messages that may wait for one cell; one more is refused as busy


class Cell:
    """One key's committed value, and the messages that wait for the call that holds it."""

    __slots__ = ("held", "value", "waiting")

    def __init__(self, value: Struct) -> None:
        self.value = value
        self.held = False
        self.waiting: deque[Callable[[], None]] = deque()


class Cells:
    """All cells of one state type."""

    def __init__(self, type_: StateType[Any], stored: dict[str, bytes]) -> None:
        self.type = type_
        self.space = f"state:{type_.name}"
        self._cells = {key: Cell(type_.decoder.decode(value)) for key, value in stored.items()}

    def __len__(self) -> int:
        return len(self._cells)

    def cell(self, key: str) -> Cell:
        """Return a key's cell; a new one has every field's default and is kept once it is changed or held."""
        cell = self._cells.get(key)
        return Cell(self.type.struct()) if cell is None else cell

    def hold(self, key: str, cell: Cell) -> None:
        """Keep other calls from the cell until `release`."""
        cell.held = True
        self._cells[key] = cell

    def release(self, cell: Cell) -> None:
        """Let the messages that wait have the cell, until one holds it again."""
        cell.held = False
        while cell.waiting and not cell.held:
            cell.waiting.popleft()()

    def handle(self, key: str, cell: Cell) -> State[Any]:
        """Return a function's hold on the cell."""
        return State(self.type, key, cell.value)

    def commit(self, key: str, cell: Cell, value: Struct, undo: list[Callable[[], None]]) -> Put | None:
        """Make a call's working copy the value; return what the disk must hold, if anything."""
        before = cell.value
        cell.value = value
        self._cells[key] = cell
        undo.append(lambda: setattr(cell, "value", before))
        return Put(self.space, key, msgspec.msgpack.encode(value)) if self.type.durable else None
