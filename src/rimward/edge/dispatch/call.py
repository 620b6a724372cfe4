"""One call of a user's function: its effects, held until it returns, and its eager run."""

import asyncio
import asyncio.tasks
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from msgspec import Struct

from rimward.app.effects import Action, TimerAsk, current
from rimward.app.facts import Fact
from rimward.app.manifest import FactSpec
from rimward.edge.outbox import Forward
from rimward.events import NoNode

if TYPE_CHECKING:
    from contextvars import Token

    from rimward.app.effects import Effects


_SIZED = (str, bytes)


class Ground(Protocol):
    """What a call stands on: the node's dispatcher."""

    facts: dict[type[Struct], Fact]

    def admit(self, spec: FactSpec, about: int, values: tuple[object, ...], /) -> None:
        """Raise OutboxFull where there is no room for a row of about so many bytes."""
        ...

    def wall(self) -> int:
        """Return the wall clock, ns since the epoch."""
        ...

    def admit_timer(self, function: str, key: str, /) -> None:
        """Raise TimersFull where no more may be pending."""
        ...


class Origin(Struct, gc=False):
    """Where a call's event came from, as its rows will tell."""

    event: str  # event id
    received: int  # wall ns
    time: int | None  # the event's own time, ns
    trace: bytes | None  # 16 bytes, where the device sent one
    mono: int | None = None  # monotonic ns at which it came


class Source(Protocol):
    """What a call came from."""

    def origin(self) -> Origin:
        """Return it as its rows will tell it; made only when there are rows."""
        ...


class Call(Struct, gc=False):
    """The effects of one call: actions and facts wait here, and are dropped when the call raises."""

    ground: Ground
    source: Source
    actions: list[Action] = []
    forwards: list[Forward] | None = None
    timers: list[TimerAsk] | None = None  # of its cells' keys

    def forward(self, fact: Struct) -> None:
        """Hold a fact until the call returns.

        Raises:
            TypeError: it is not of a declared type, or a value is not of its field's.
            OutboxFull: there is no room.
        """
        declared, values = row_of(self.ground, fact)
        if self.forwards is None:
            self.forwards = []
        self.forwards.append(forward_of(declared, values, self.source.origin()))

    def now(self) -> int:
        """Return the node's wall clock, ns."""
        return self.ground.wall()

    def timer(self, asked: TimerAsk) -> None:
        """Hold what is wanted of a timer until the call returns.

        Raises:
            TimersFull: too many are pending.
        """
        if asked.delay is not None:
            self.ground.admit_timer(asked.function, asked.key)
        self.timers = [*(self.timers or ()), asked]


class LaneCall:
    """The effects of the calls on the fast lane, one after the other: nothing is made for a call.

    It stays in the context of whatever a node's gateways run in; between two calls it has no actions.
    """

    __slots__ = ("_ground", "actions", "rows")

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.actions: list[Action] | None = None
        self.rows: list[tuple[Fact, tuple[Any, ...]]] | None = None  # of the facts

    def forward(self, fact: Struct) -> None:
        """Hold a fact until the call returns; raises as `Call.forward` does."""
        row = row_of(self._ground, fact)
        if self.rows is None:
            self.rows = []
        self.rows.append(row)

    def now(self) -> int:
        """Return the node's wall clock, ns."""
        return self._ground.wall()

    def timer(self, asked: TimerAsk) -> NoReturn:
        """Refuse what is wanted of a timer: who runs here has no cells."""
        raise NoNode(f"state.after: the call that has the cell {asked.key!r} is over")

    def end(self) -> list[tuple[Fact, tuple[Any, ...]]]:
        """End the call; return its rows."""
        rows = self.rows or []
        self.actions = self.rows = None
        return rows


def row_of(ground: Ground, fact: Struct) -> tuple[Fact, tuple[Any, ...]]:
    """Return a fact's declaration and row, if there is room for it.

    Raises:
        TypeError: it is not of a declared type, or a value is not of its field's.
        OutboxFull: there is no room.
        RowTooLarge: no envelope could carry it.
    """
    declared = ground.facts.get(type(fact))
    if declared is None:
        raise TypeError(f"app.forward: {type(fact).__name__} is not a fact; declare it with @app.fact")
    values = declared.row(fact)
    ground.admit(declared.spec, row_bytes(values), values)
    return declared, values


def forward_of(fact: Fact, values: tuple[Any, ...], origin: Origin) -> Forward:
    """Return a fact's row with where it came from."""
    return Forward(
        fact=fact.spec.table,
        schema=fact.spec.fingerprint,
        priority=fact.spec.priority,
        received=origin.received,
        event=origin.event,
        time=origin.time,
        trace=origin.trace,
        replayed=False,
        values=values,
        keeping=fact.spec.keeping,
        mono=origin.mono,
    )


def row_bytes(values: tuple[Any, ...]) -> int:
    """Return about how many bytes a row takes in the outbox."""
    size = 48
    for value in values:
        if isinstance(value, _SIZED):
            size += len(value)
        elif isinstance(value, list):
            items = cast("list[Any]", value)
            size += 9 * len(items) + sum(len(item) for item in items if isinstance(item, _SIZED))
        else:
            size += 9
    return size


class Marked(Protocol):
    """Who is told when user code begins to run and when it does not any more."""

    def begin(self, start: int) -> None:
        """User code runs from now on, since `start` as far as its own time goes; monotonic ns."""
        ...

    def end(self) -> None:
        """User code does not run any more."""
        ...


def start(
    function: Callable[..., Any], arguments: list[Any], call: Call, clock: Callable[[], int], mark: Marked
) -> tuple[Any, "Running | None"]:
    """Call a coroutine function and run it up to its first wait.

    Returns its value and None if it never waited, else nothing and what is still running. A coroutine that
    does not wait costs no Task.
    """
    token = current.set(call)
    loop = asyncio.get_running_loop()
    running = Running(function(*arguments), call, clock, mark)
    outer = asyncio.current_task()  # a beat's, or a test's: a timeout in the function is none of theirs
    _change_task(loop, outer, running)
    try:
        value = running.step(None)
    finally:
        _change_task(loop, running, outer)
        current.reset(token)
    return (None, running) if running.waits else (value, None)


def _change_task(loop: asyncio.AbstractEventLoop, old: Any, new: Any) -> None:
    """Make another the loop's current task, which asyncio.timeout and TaskGroup ask for at once."""
    if old is not None:
        asyncio.tasks._leave_task(loop, old)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType] (a coroutine stands in for the task that is made only if it waits)
    if new is not None:
        asyncio.tasks._enter_task(loop, new)  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType] (as above)


class Running:
    """A coroutine begun eagerly; it becomes a Task at its first wait."""

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], call: Call, clock: Callable[[], int], mark: Marked
    ) -> None:
        self._coroutine = coroutine
        self._call = call
        self._clock = clock
        self.mark: Marked = mark
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0  # asked for while the task has not begun
        self._begun = False
        self.own_time: int = 0  # ns spent in the function itself
        self.waits: bool = False
        self._first: Any = None

    def step(self, value: Any) -> Any:
        """Run to the next wait; return the result if there is none."""
        before = self._clock()
        self.mark.begin(before)
        try:
            self._first = self._coroutine.send(value)
        except StopIteration as stop:
            return stop.value
        finally:
            self.mark.end()
            self.own_time += self._clock() - before
        self.waits = True
        return None

    def task(self) -> "asyncio.Task[Any]":
        """Go on as a Task, which its caller owns."""
        token: Token[Effects] = current.set(self._call)
        try:
            self._task = asyncio.get_running_loop().create_task(self._rest())
        finally:
            current.reset(token)
        return self._task

    async def _rest(self) -> Any:
        assert self._task is not None
        self._begun = True
        for _ in range(self._cancels):  # a task that is cancelled before it begins never enters its coroutine
            self._task.cancel()
        return await _Rest(self._coroutine, self._first, self)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task, or remember it until it has begun."""
        if self._task is not None and self._begun:
            return self._task.cancel(msg)
        self._cancels += 1
        return True

    def cancelling(self) -> int:
        """Return how many cancellations are pending."""
        return self._task.cancelling() if self._task is not None and self._begun else self._cancels

    def uncancel(self) -> int:
        """Take one cancellation back."""
        if self._task is not None and self._begun:
            return self._task.uncancel()
        self._cancels = max(0, self._cancels - 1)
        return self._cancels


class _Rest:
    """The part of a coroutine after its first wait, as an awaitable."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: Any, running: Running) -> None:
        self._coroutine = coroutine
        self._first = first
        self._running = running

    def __await__(self) -> Generator[Any, Any, Any]:
        waited, running = self._first, self._running
        while True:
            error: BaseException | None = None
            value: Any = None
            try:
                value = yield waited
            except BaseException as raised:  # noqa: BLE001 (a cancellation goes into the coroutine, as await would)
                error = raised
            before = running._clock()
            running.mark.begin(before - running.own_time)
            try:
                waited = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                running.mark.end()
                running.own_time += running._clock() - before
