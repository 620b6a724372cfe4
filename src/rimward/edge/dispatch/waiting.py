"""Async functions: run eagerly, and kept as tasks from their first wait to their end."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from rimward.edge.cells import MAX_WAITING, Cell
from rimward.edge.dispatch.call import Call, Running, start
from rimward.edge.dispatch.functions import Bound, FunctionRun, Held
from rimward.edge.dispatch.marking import Mark
from rimward.edge.dispatch.modes import Modes, Replaced
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Refusal, Ticket
from rimward.edge.dispatch.work import Work
from rimward.edge.stopping import Stopped


class Host(Protocol):
    """What waiting functions ask of the dispatcher."""

    tracing: Tracing
    words: memoryview
    modes: Modes

    def succeeded(self, bound: Bound, call: Call, held: Held | None, work: Work, result: Any) -> None:
        """Release a call's effects; it raises, and releases nothing, where its reply can't be written."""
        ...

    def measure(self, run: FunctionRun, work: Work, begun: int, ended: int) -> None:
        """Record a call's times, monotonic ns."""
        ...

    def failing(self, bound: Bound, work: Work, error: BaseException, times: tuple[int, int]) -> None:
        """Do with an event what is to be done when its call raised."""
        ...

    def end(self, work: Work, /) -> Ticket | None:
        """Commit and answer."""
        ...


class Waiting:
    """The owner of every async call that waits for something."""

    def __init__(self, host: Host, clock: Callable[[], int]) -> None:
        self._host = host
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()
        self._expired: set[asyncio.Task[Any]] = set()  # cancelled because their timeout was over
        self._replaced: set[asyncio.Task[Any]] = set()  # cancelled because a newer event came

    def run(self, bound: Bound, arguments: list[Any], call: Call, held: Held | None, work: Work) -> None:
        run, begun = bound.run, self._clock()
        try:
            mark = Mark(self._host.words, run, work)
            result, running = start(run.call, arguments, call, self._clock, mark)
            if running is None:
                self._host.succeeded(bound, call, held, work, result)
        except Exception as error:  # noqa: BLE001 (as for plain functions)
            self._host.failing(bound, work, error, (begun, self._clock()))
            return
        except Stopped as stopped:
            self._host.failing(bound, work, stopped.settle(), (begun, self._clock()))
            return
        if running is None:
            self._host.measure(run, work, begun, self._clock())
            return
        hold(bound, held)
        work.pending += 1
        task = running.task()
        self._tasks.add(task)
        limit = None
        if run.timeout is not None:
            limit = asyncio.get_running_loop().call_later(run.timeout, self._expire, task)

        def cancel() -> None:
            self._replaced.add(task)
            task.cancel()

        self._host.modes.began(bound, cancel)
        task.add_done_callback(
            lambda done: self._ended(bound, call, held, work, done, (running, limit, cancel))
        )

    @property
    def running(self) -> list[asyncio.Task[Any]]:
        """The calls that go on."""
        return list(self._tasks)

    def _expire(self, task: asyncio.Task[Any]) -> None:
        self._expired.add(task)
        task.cancel()

    def _ended(
        self,
        bound: Bound,
        call: Call,
        held: Held | None,
        work: Work,
        task: asyncio.Task[Any],
        ran: tuple[Running, asyncio.TimerHandle | None, Callable[[], None]],
    ) -> None:
        self._tasks.discard(task)
        running, limit, cancel = ran
        if limit is not None:
            limit.cancel()
        run, now = bound.run, self._clock()
        begun = now - running.own_time
        work.pending -= 1
        error = self._error_of(run, task)
        if error is None:
            try:
                self._host.succeeded(bound, call, held, work, task.result())
            except Exception as raised:  # noqa: BLE001 (a reply or a state that can't be written)
                error = raised
        settle(self._host, bound, held, work, error, (begun, now if error is None else self._clock()))
        self._host.modes.ended(bound, cancel)

    def _error_of(self, run: FunctionRun, task: asyncio.Task[Any]) -> BaseException | None:
        expired, replaced = task in self._expired, task in self._replaced
        self._expired.discard(task)
        self._replaced.discard(task)
        if not task.cancelled():
            return task.exception()
        if replaced:
            return Replaced(f"a newer event of {run.name} came")
        return TimeoutError(f"it took longer than {run.timeout:g} s") if expired else asyncio.CancelledError()

    async def close(self, grace: float) -> None:
        """Wait up to `grace` seconds for async functions, then cancel them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)


def hold(bound: Bound, held: Held | None) -> None:
    """Keep other calls from the cells of one that goes on, until it has settled."""
    if held is not None:
        for slot, cell in zip(bound.slots, held.cells, strict=True):
            slot.cells.hold(slot.key, cell)


def settle(
    host: Host,
    bound: Bound,
    held: Held | None,
    work: Work,
    error: BaseException | None,
    times: tuple[int, int],
) -> None:
    """End a call that went on: its figures, its message's end if it was the last, and its cells."""
    if error is None:
        host.measure(bound.run, work, *times)
    else:
        if isinstance(error, Stopped):
            error.settle()
        host.failing(bound, work, error, times)
    if not work.pending:
        ticket = work.ticket
        if host.end(work) is None and ticket is not None:
            ticket.finish()
    if held is not None:
        for slot, cell in zip(bound.slots, held.cells, strict=True):
            slot.cells.release(slot.key, cell)


def queue(cell: Cell, work: Work, begin: Callable[[], Ticket | None]) -> Ticket:
    """Queue a message for a cell that an async call holds; when it begins again it may have to wait again."""
    ticket = work.ticket = work.ticket or Ticket()

    def again() -> None:
        if begin() is None:
            ticket.finish()

    if len(cell.waiting) >= MAX_WAITING:
        ticket.finish(Refusal("busy", f"{MAX_WAITING} messages wait for this key"))
    else:
        cell.waiting.append(again)
    return ticket
