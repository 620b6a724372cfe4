"""Cells in memory and on disk: however few are in memory, calls and readers see the same."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from rimward.app.state import StateType
from rimward.edge.cells import StatesConfig
from rimward.edge.dispatch.renaming import load_cells
from rimward.edge.outbox import Transaction
from rimward.edge.state import Cells
from rimward.events import RimwardError, StatesFull

SECOND = 1_000_000_000  # ns
Disk = dict[tuple[str, str], bytes]


class Count(Struct):
    n: int = 0


class Store:
    """What an outbox is to cells: transactions wait until they are committed, or refused."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.waiting: list[Transaction] = []

    def append(self, tx: Transaction, done: Callable[[RimwardError | None], None] | None) -> None:
        self.waiting.append(tx)

    def now(self) -> Disk:
        seen: dict[tuple[str, str], bytes | None] = dict(self.disk)
        for tx in self.waiting:
            seen |= {(put.space, put.key): put.value for put in tx.puts}
        return {place: value for place, value in seen.items() if value is not None}

    def commit(self) -> None:
        self.disk = self.now()
        self.waiting = []

    def refuse(self) -> None:
        waiting, self.waiting = self.waiting, []
        for tx in reversed(waiting):
            for step in reversed(tx.undo):
                step()

    def find(self, space: str, key: str) -> bytes | None:
        return self.now().get((space, key))

    def page(self, space: str, since: str, most: int) -> tuple[list[tuple[str, bytes]], str | None]:
        rows = sorted((key, value) for (of, key), value in self.now().items() if of == space and key >= since)
        return rows[:2], f"{rows[1][0]}\0" if len(rows) > 2 else None  # pages as small as may be

    def load(self, space: str) -> dict[str, bytes]:
        return {key: value for (of, key), value in self.now().items() if of == space}

    def count(self, space: str) -> int:
        return len(self.load(space))


class Node:
    """One start of a node after the other, with one state; a call is one or more of these, held or not."""

    def __init__(self, in_memory: int, most: int = 100, *, expires: float | None = None) -> None:
        self.type = StateType(Count, "key", durable=True, expires=expires)
        self.config = StatesConfig(in_memory=in_memory, max_cells=most)
        self.now = 0
        self.store = Store({})
        self.cells: Cells
        self.held: list[tuple[str, Any]] = []
        self.open: list[Transaction] = []  # of messages that are not over yet
        self.ends: list[Callable[[], None]] = []
        self.start()

    def start(self) -> None:
        self.held, self.open, self.ends, self.store.waiting = [], [], [], []
        self.cells = load_cells(self.store, self.type, lambda: self.now, self.config)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] (as much of an outbox as cells ask for)

    def add(self, key: str, *, closed: bool = True) -> int | None:
        """Count one more for a key; the message may go on. None: a call holds the key."""
        if self.cells.held(key) is not None:
            return None
        cell = self.cells.cell(key)
        handle = self.cells.handle(key, cell)
        handle.value.n += 1
        checked = handle.checked()
        assert checked is not None
        self.cells.admit(cell)
        tx = Transaction()
        tx.puts += self.cells.commit(key, cell, checked, tx.undo, self.ends)
        self.open.append(tx)
        if closed:
            self.close()
        return handle.value.n

    def close(self) -> None:
        """End the messages that are open: the outbox gets one transaction."""
        for settle in self.ends:
            settle()
        tx = Transaction()
        for one in self.open:
            tx.puts += one.puts
            tx.undo += one.undo
        if tx.puts:
            self.store.append(tx, None)
        self.open, self.ends = [], []

    def hold(self, key: str) -> None:
        if self.cells.held(key) is None:
            cell = self.cells.cell(key)
            self.cells.hold(key, cell)
            self.held.append((key, cell))

    def let_go(self) -> None:
        for key, cell in self.held:
            self.cells.release(key, cell)
        self.held = []

    def look(self) -> dict[str, int]:
        return {key: value.n for key, value in self.cells.items() if isinstance(value, Count)}

    def expire(self) -> None:
        tx = Transaction()
        tx.puts += self.cells.expire()
        self.store.append(tx, None)


OTHERS = ("close", "go", "commit", "refuse", "kill", "look", "expire", "later")
STEPS = st.lists(
    st.tuples(st.sampled_from(("add", "open", "hold", "find")), st.sampled_from("abcdef"))
    | st.tuples(
        st.sampled_from(("close", "go", "commit", "refuse", "kill", "look", "expire", "later")), st.just("")
    ),
    max_size=60,
)


def outcome(steps: list[tuple[str, str]], in_memory: int, expires: float | None) -> list[object]:
    """Return what calls and readers see of some steps."""
    node, seen = Node(in_memory, expires=expires), list[object]()
    for what, key in steps:
        if what in {"add", "open"}:
            seen.append(node.add(key, closed=what == "add"))
        elif what == "hold":
            node.hold(key)
        elif what == "find":
            found = node.cells.find(key)
            seen.append(found.n if isinstance(found, Count) else None)
        elif what == "look":
            seen.append(node.look())
        elif what in {"commit", "refuse"}:
            node.close()
            node.store.commit() if what == "commit" else node.store.refuse()
        elif what == "later":
            node.now += SECOND
        else:
            {"close": node.close, "go": node.let_go, "kill": node.start, "expire": node.expire}[what]()
    node.close()
    node.let_go()
    node.expire()
    assert len(node.cells.drawer.hot) <= in_memory  # those in use could not leave
    seen.append(node.look())
    node.start()
    return [*seen, node.look()]


@given(STEPS, st.sampled_from((None, 1.5)))
def test_however_few_cells_are_in_memory_the_same_is_seen(
    steps: list[tuple[str, str]], expires: float | None
) -> None:
    everything = outcome(steps, 100, expires)
    assert outcome(steps, 1, expires) == everything
    assert outcome(steps, 3, expires) == everything


def test_the_number_of_cells_is_known_whatever_is_in_memory() -> None:
    node = Node(2, most=4)
    for key in "abcd":
        node.add(key)
    assert (len(node.cells), len(node.cells.drawer.hot)) == (4, 2)
    node.store.refuse()
    assert len(node.cells) == 0
    assert node.look() == {}


def test_one_cell_more_than_there_may_be_is_refused_and_counted() -> None:
    node = Node(1, most=2)
    node.add("a")
    node.add("b")
    with pytest.raises(StatesFull, match="state Count has 2 cells, the limit is 2"):
        node.add("c")
    assert node.cells.drawer.refused == 1
    assert node.add("a") == 2
    node.store.commit()
    node.start()
    with pytest.raises(StatesFull):
        node.add("c")


def test_a_cell_that_a_call_only_looks_at_is_not_kept() -> None:
    node = Node(10)
    node.hold("a")
    assert node.cells.find("a") is None
    node.let_go()
    assert (len(node.cells), len(node.cells.drawer.hot), node.look()) == (0, 0, {})


def test_cells_on_disk_whose_time_is_over_go_from_there_some_at_a_time() -> None:
    node = Node(1, expires=1)
    for key in "abcdef":
        node.add(key)
    node.store.commit()
    node.now += 2 * SECOND
    assert node.look() == {}
    for _ in range(4):
        node.expire()
    node.store.commit()
    assert node.store.disk == {}
    assert len(node.cells) == 0


def test_a_cell_gets_a_time_once_its_state_expires() -> None:
    node = Node(1)
    for key in "abc":
        node.add(key)
    node.store.commit()
    node.type = StateType(Count, "key", durable=True, expires=1)
    node.start()
    for _ in range(3):
        node.expire()
    node.store.commit()
    node.now += 2 * SECOND
    for _ in range(3):
        node.expire()
    node.store.commit()
    assert node.store.disk == {}
