"""Cells: the node's keyed state, one call at a time for a key, in memory as far as there is room.

Those of a durable state that were not used for longest leave memory and are read from the outbox's file when
they are asked for (docs/adr/0126). What a message has changed stays until its transaction is handed over.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Protocol

from msgspec import Struct

from rimward.app.forms import Checked, Form
from rimward.app.problems import Problem
from rimward.app.state import State, StateType
from rimward.edge.cells import STATES, Cell, Drawer, StatesConfig
from rimward.edge.outbox import Put
from rimward.events import OutboxBroken, StatesFull, StateUnreadable
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.state")

PAGE = 500  # cells that are read from disk in one go, where all are read
SWEPT = 1_000  # cells on disk whose time is looked at in a second
LOOKED_AT = 64  # cells that a start looks at before it takes them over
HELD = 64  # cells in use that are passed over in search for one that may leave memory
_TIME = 8  # bytes of a stored time


class Store(Protocol):
    """Where durable cells are kept: the outbox."""

    def find(self, space: str, key: str) -> bytes | None:
        """Return a value as it was put last; raises OutboxBroken."""
        ...

    def page(self, space: str, since: str, most: int) -> tuple[list[tuple[str, bytes]], str | None]:
        """Return some keys from `since` on with their values as they were put last, and where to go on."""
        ...


class Cells:
    """All cells of one state type."""

    def __init__(
        self,
        type_: StateType[Any],
        wall: Callable[[], int],
        store: Store,
        config: StatesConfig = STATES,
    ) -> None:
        """Make them, none yet; `wall` is the clock by which they expire, ns."""
        self.type = type_
        self.space: str = f"state:{type_.name}"
        self.times_space: str = f"changed:{type_.name}"
        self._store = store
        self._wall = wall
        self._lifetime = None if type_.expires is None else round(type_.expires * 1e9)
        most = config.max_cells if type_.durable else config.volatile
        self._drawer = Drawer(limit=max(1, config.in_memory) if type_.durable else most, most=most)

    def take(self, stored: dict[str, bytes], times: dict[str, bytes], count: int | None = None) -> None:
        """Take over what is stored; `count`: there are so many on disk, and `stored` are some to look at.

        Raises:
            Problem: all that were looked at are of this version, and none fits the type.
        """
        drawer = self._drawer
        self._look_at(list(islice(stored.values(), LOOKED_AT)))
        if count is not None:
            drawer.count, drawer.complete = count, False
            return
        for key, body in stored.items():
            drawer.hot[key] = self._loaded(body)
        drawer.count = len(stored)
        drawer.limit = max(drawer.limit, len(stored))  # of a file that can't be opened all are in memory
        if self._lifetime is not None:
            now = self._wall()
            known = {key: int.from_bytes(times[key], "big") if key in times else now for key in drawer.hot}
            drawer.changed = dict(sorted(known.items(), key=lambda item: item[1]))

    def _look_at(self, stored: list[bytes]) -> None:
        """Refuse a type that none of some cells fits, unless a newer version has left one of them."""
        form, errors = self.type.form, list[StateUnreadable]()
        for body in stored:
            try:
                form.load(body)
            except StateUnreadable as error:
                errors.append(error)
        if errors and len(errors) == len(stored) and not any(form.is_newer(body) for body in stored):
            raise Problem(
                f"state {self.type.name}: the cells that are there don't fit: {errors[0]}",
                f"raise version= and write @app.migrate({self.type.struct.__name__}, version=…)",
                at=self.type.struct,
            )

    def turned(self, type_: StateType[Any]) -> "Cells":
        """Return the same cells for another version of the app, which reads their values as its own type.

        Raises:
            Problem: none of some that are in memory fits it.
        """
        other, drawer = Cells(type_, self._wall, self._store), self._drawer
        kept = (cell.sealed() for cell in drawer.hot.values() if not cell.fresh and cell.error is None)
        other._look_at(list(islice(kept, LOOKED_AT)))
        other._drawer = drawer
        for key in [key for key, cell in drawer.hot.items() if cell.error is not None]:
            del drawer.hot[key]  # this version may be able to read it
            drawer.complete = False
        return other

    def __len__(self) -> int:
        return self._drawer.count

    @property
    def drawer(self) -> Drawer:
        """What is in memory, and how much may be."""
        return self._drawer

    # -- one cell

    def held(self, key: str) -> Cell | None:
        """Return a key's cell if a call holds it."""
        cell = self._drawer.hot.get(key)
        return cell if cell is not None and cell.held else None

    def cell(self, key: str) -> Cell:
        """Return a key's cell; a new one has every field's default and is kept once it is changed or held.

        Raises:
            StateUnreadable: this version of the app can't read it.
            OutboxBroken: the disk can't be read.
        """
        drawer = self._drawer
        cell = drawer.hot.get(key)
        if cell is None:
            cell = None if drawer.complete else self._brought(key)
            if cell is None:
                return self._new()
        elif not drawer.complete:
            drawer.hot.move_to_end(key)
        if cell.form is not self.type.form:
            cell = self._turned(cell)
        if cell.error is not None:
            drawer.unread += 1
            raise StateUnreadable(cell.error)
        if self._lifetime is not None and not cell.held and self._is_over(key):
            return self._new()
        return cell

    def find(self, key: str) -> Struct | None:
        """Return a cell's committed value; raises as `cell` does."""
        cell = self.cell(key)
        return None if cell.fresh else cell.value

    def hold(self, key: str, cell: Cell) -> None:
        """Keep other calls from the cell until `release`."""
        cell.held = True
        self._drawer.hot[key] = cell

    def release(self, key: str, cell: Cell) -> None:
        """Let the messages that wait have the cell, until one holds it again."""
        cell.let_go()
        if cell.fresh and not cell.held and self._drawer.hot.get(key) is cell:
            del self._drawer.hot[key]

    def handle(self, key: str, cell: Cell) -> State[Any]:
        """Return a function's hold on the cell."""
        return State(self.type, key, cell.value)

    def admit(self, cell: Cell) -> None:
        """Tell whether there is room for a cell's change.

        Raises:
            StatesFull: it is a new one, and there is none.
        """
        drawer = self._drawer
        if cell.fresh and drawer.count >= drawer.most:
            drawer.refused += 1
            raise StatesFull(f"state {self.type.name} has {drawer.count} cells, the limit is {drawer.most}")

    def commit(
        self,
        key: str,
        cell: Cell,
        checked: Checked[Any],
        undo: list[Callable[[], None]],
        ends: list[Callable[[], None]],
    ) -> list[Put]:
        """Make a call's working copy the value; return what the disk must hold.

        `undo` gets what takes it back, and `ends` what is to be called once the outbox has the change.
        """
        drawer = self._drawer
        before = drawer.hot.get(key)
        adds = cell.fresh and (before is None or before.fresh)
        undo.append(partial(self._restore, key, cell, (cell.form, cell.value, cell.fresh), before, adds=adds))
        cell.form, cell.value, cell.fresh = self.type.form, checked.value, False
        drawer.count += adds
        drawer.hot[key] = cell
        puts: list[Put] = []
        if self.type.durable:
            puts.append(Put(self.space, key, self.type.form.seal(checked.body, cell.unknown)))
            cell.pins += 1
            ends.append(cell.unpin)
            self._shrink()
        if self._lifetime is not None:
            now = self._wall()
            drawer.changed.pop(key, None)
            drawer.changed[key] = now
            if self.type.durable:
                puts.append(Put(self.times_space, key, now.to_bytes(_TIME, "big")))
        return puts

    def _restore(
        self,
        key: str,
        cell: Cell,
        was: tuple[Form[Any], Struct, bool],
        before: Cell | None,
        *,
        adds: bool,
    ) -> None:
        """Take a change back; the disk has what was before."""
        drawer = self._drawer
        cell.form, cell.value, cell.fresh = was
        drawer.count -= adds
        now = drawer.hot.get(key)
        if now is None:
            return
        now.form, now.value, now.fresh = was  # it may have been read anew meanwhile
        if before is not None and before is not cell:
            drawer.hot[key] = before
        elif now.fresh and not now.held:
            del drawer.hot[key]

    def _new(self) -> Cell:
        return Cell(self.type.form, self.type.struct(), fresh=True)

    # -- memory and disk

    def _loaded(self, body: bytes) -> Cell:
        try:
            return Cell(self.type.form, *self.type.form.load(body))
        except StateUnreadable as error:
            cell = self._new()
            cell.fresh, cell.error = False, str(error)
            return cell

    def _turned(self, cell: Cell) -> Cell:
        """Return a cell whose value another version of the app has left as one of this version's type."""
        if cell.fresh:
            return cell if cell.held else self._new()
        read = self._loaded(cell.sealed())
        if cell.held or read.error is not None:
            return read  # the other version is at work on it, or could still read it
        cell.form, cell.value, cell.unknown = read.form, read.value, read.unknown
        return cell

    def _brought(self, key: str) -> Cell | None:
        """Bring a cell into memory, if there is one."""
        body = self._store.find(self.space, key)
        if body is None:
            return None
        drawer = self._drawer
        cell = self._loaded(body)
        if self._lifetime is not None:
            at = self._store.find(self.times_space, key)
            drawer.changed[key] = self._wall() if at is None else int.from_bytes(at, "big")
        self._shrink(1)  # first: it must not leave again before it is used
        drawer.hot[key] = cell
        return cell

    def _shrink(self, more: int = 0) -> None:
        """Let cells leave memory that were not used for longest and nobody uses, with room for `more`."""
        drawer = self._drawer
        over = len(drawer.hot) + more - drawer.limit
        if over <= 0:
            return
        for key in list(islice(drawer.hot, over + HELD)):
            cell = drawer.hot[key]
            if not cell.held and not cell.pins:
                del drawer.hot[key]
                drawer.changed.pop(key, None)
                drawer.complete = False
                over -= 1
            if over <= 0:
                return

    # -- all cells

    def items(self) -> Iterator[tuple[str, Struct]]:
        """Yield every key with its committed value, which nobody may change; raises as `cell` does."""
        drawer = self._drawer
        hot = [key for key, cell in drawer.hot.items() if not cell.fresh]
        for key in hot:
            if (value := self.find(key)) is not None:
                yield key, value
        done = set[str]() if drawer.complete else set(hot)
        for key, body, at in () if drawer.complete else self._cold():
            if key in done:
                continue
            if key in drawer.hot:
                value = self.find(key)
            elif at is not None and self._wall() - at > (self._lifetime or 0):
                continue
            else:
                cell = self._loaded(body)
                if cell.error is not None:
                    raise StateUnreadable(cell.error)
                value = cell.value
            if value is not None:
                yield key, value

    def _cold(self) -> Iterator[tuple[str, bytes, int | None]]:
        """Yield all that is on disk, with the time of the last change where cells expire."""
        since: str | None = ""
        while since is not None:
            rows, since = self._page(since, PAGE)
            yield from rows

    def _page(self, since: str, most: int) -> tuple[list[tuple[str, bytes, int | None]], str | None]:
        rows, after = self._store.page(self.space, since, most)
        if self._lifetime is None:
            return [(key, body, None) for key, body in rows], after
        times = dict(self._store.page(self.times_space, since, most)[0])
        found: list[tuple[str, bytes, int | None]] = []
        for key, body in rows:
            at = times.get(key) or self._store.find(self.times_space, key)
            found.append((key, body, None if at is None else int.from_bytes(at, "big")))
        return found, after

    def kept(self) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
        """Yield space, key and what writes the value of all that the disk would have of them."""
        drawer = self._drawer
        for key, cell in drawer.hot.items():
            if not cell.fresh and cell.error is None:
                yield self.space, key, cell.sealed
        for key, at in drawer.changed.items():
            yield self.times_space, key, partial(at.to_bytes, _TIME, "big")
        for key, body, at in () if drawer.complete else self._cold():
            if key not in drawer.hot:
                yield self.space, key, partial(bytes, body)
                if at is not None:
                    yield self.times_space, key, partial(at.to_bytes, _TIME, "big")

    # -- time

    def expire(self, forgotten: Callable[[list[tuple[str, str]]], None] | None = None) -> list[Put]:
        """Forget the cells whose time is over, and say which; return what the disk must forget.

        Those on disk are looked at some at a time; a call never sees one whose time is over.
        """
        drawer, over = self._drawer, list[str]()
        if self.type.durable:
            self._shrink()  # those that were in use
        if self._lifetime is None:
            return []
        for key in drawer.changed:
            if not self._is_over(key):
                break
            cell = drawer.hot.get(key)
            if cell is None or not (cell.held or cell.pins):
                over.append(key)
        for key in over:
            del drawer.changed[key]
            drawer.hot.pop(key, None)
        puts = [] if drawer.complete else self._sweep(over)
        drawer.count -= len(over)
        if over and forgotten is not None:
            forgotten([(self.space, key) for key in over])
        if not self.type.durable:
            return []
        return puts + [Put(space, key, None) for key in over for space in (self.space, self.times_space)]

    def _sweep(self, over: list[str]) -> list[Put]:
        """Look at some cells on disk: add those whose time is over, return the times of those without one."""
        drawer, now, lifetime = self._drawer, self._wall(), self._lifetime or 0
        puts: list[Put] = []
        try:
            rows, drawer.since = self._page(drawer.since or "", SWEPT)
        except OutboxBroken:
            return []
        for key, _, at in rows:
            if key in drawer.hot or key in over:
                continue
            if at is None:
                puts.append(Put(self.times_space, key, now.to_bytes(_TIME, "big")))
            elif now - at > lifetime:
                over.append(key)
        return puts

    def _is_over(self, key: str) -> bool:
        changed = self._drawer.changed.get(key)
        return changed is not None and self._lifetime is not None and self._wall() - changed > self._lifetime
