"""Cells: the node's keyed state in memory, one call at a time for a key."""

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app.forms import Written
from rimward.app.state import State, StateType
from rimward.edge.outbox import Put

MAX_WAITING = 1024  # messages that may wait for one cell; one more is refused as busy
_TIME = 8  # bytes of a stored time


class Cell:
    """One key's committed value, and the messages that wait for the call that holds it."""

    __slots__ = ("held", "value", "waiting")

    def __init__(self, value: Struct) -> None:
        self.value: Struct = value
        self.held: bool = False
        self.waiting: deque[Callable[[], None]] = deque()


class Cells:
    """All cells of one state type."""

    def __init__(
        self,
        type_: StateType[Any],
        stored: dict[str, bytes],
        times: dict[str, bytes] | None = None,
        wall: Callable[[], int] | None = None,
    ) -> None:
        """Take over what is stored; with `expires`, `times` tells when each was changed, by `wall`."""
        self.type = type_
        self.space: str = f"state:{type_.name}"
        self.times_space: str = f"changed:{type_.name}"
        self._cells = {key: Cell(type_.form.read(value)) for key, value in stored.items()}
        self._lifetime = None if type_.expires is None or wall is None else round(type_.expires * 1e9)
        self._wall = wall or int
        self._changed: dict[str, int] = {}  # wall ns of each cell's last change, the oldest first
        if self._lifetime is not None:
            self._changed = self._restored(times or {})

    def _restored(self, times: dict[str, bytes]) -> dict[str, int]:
        now = self._wall()
        known = {key: int.from_bytes(times[key], "big") if key in times else now for key in self._cells}
        return dict(sorted(known.items(), key=lambda item: item[1]))

    def __len__(self) -> int:
        return len(self._cells)

    def cell(self, key: str) -> Cell:
        """Return a key's cell; a new one has every field's default and is kept once it is changed or held."""
        cell = self._cells.get(key)
        if cell is None or (self._lifetime is not None and not cell.held and self._is_over(key)):
            return Cell(self.type.struct())
        return cell

    def find(self, key: str) -> Struct | None:
        """Return a cell's committed value."""
        cell = self._cells.get(key)
        return None if cell is None or (self._lifetime is not None and self._is_over(key)) else cell.value

    def keys(self) -> list[str]:
        """Return the keys of all cells."""
        return list(self._cells)

    def values(self) -> list[tuple[str, Struct]]:
        """Return every key with its committed value, which is never changed in place."""
        return [(key, cell.value) for key, cell in self._cells.items()]

    def changed(self) -> list[tuple[str, int]]:
        """Return the wall ns of each cell's last change, the oldest first; none without `expires`."""
        return list(self._changed.items())

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

    def commit(
        self, key: str, cell: Cell, written: Written[Any], undo: list[Callable[[], None]]
    ) -> list[Put]:
        """Make a call's working copy the value; return what the disk must hold."""
        before = cell.value
        puts = [Put(self.space, key, written.body)] if self.type.durable else []
        cell.value = written.value
        self._cells[key] = cell
        undo.append(lambda: setattr(cell, "value", before))
        if self._lifetime is not None:
            now = self._wall()
            self._changed.pop(key, None)
            self._changed[key] = now
            if self.type.durable:
                puts.append(Put(self.times_space, key, now.to_bytes(_TIME, "big")))
        return puts

    def expire(self, forgotten: Callable[[list[tuple[str, str]]], None] | None = None) -> list[Put]:
        """Forget the cells whose time is over, and say which; return what the disk must forget."""
        over: list[str] = []
        for key in self._changed:
            if not self._is_over(key):
                break
            if not (cell := self._cells.get(key)) or not cell.held:
                over.append(key)
        for key in over:
            del self._changed[key]
            self._cells.pop(key, None)
        if over and forgotten is not None:
            forgotten([(self.space, key) for key in over])
        if not self.type.durable:
            return []
        return [Put(space, key, None) for key in over for space in (self.space, self.times_space)]

    def _is_over(self, key: str) -> bool:
        changed = self._changed.get(key)
        return changed is not None and self._lifetime is not None and self._wall() - changed > self._lifetime
