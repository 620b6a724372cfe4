"""What no message runs: cron lines and timers, each firing as a transaction of its own.

A timer is over when the effects of its function are on disk: its end is part of the same transaction, and a
firing is repeated, with the same id, until it was there once (GUARANTEES §5). What the disk or a full outbox
refuses is tried again after a pause.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from msgspec import Struct

from rimward.app.effects import TimerAsk
from rimward.app.triggers import Cron, Every, Timer
from rimward.edge.cells import MAX_WAITING
from rimward.edge.clock import NodeClock, plain_clock
from rimward.edge.dispatch.call import Origin
from rimward.edge.dispatch.functions import Bound, FunctionRun
from rimward.edge.dispatch.ports import NODE, Clocks, OutboxPort
from rimward.edge.dispatch.renaming import load_renamed
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.version import Version
from rimward.edge.dispatch.waiting import queue
from rimward.edge.dispatch.work import Desk, Work
from rimward.edge.outbox import Put, Transaction
from rimward.edge.schedules import Schedule
from rimward.edge.timers import PAUSE, Pending, Timers
from rimward.events import OutboxBroken
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.dispatch")

AT_ONCE = 256  # timers that one turn of the loop fires; messages come in between
LATE = 1_000_000_000  # ns after its time from which a firing counts as late


class Host(Desk, Protocol):
    """What firings ask of the dispatcher."""

    node: str
    clocks: Clocks
    outbox: OutboxPort
    counters: dict[str, int]
    version: Version

    def start(self, bound: Bound, work: Work) -> Ticket | None:
        """Run a function on a work that no message is."""
        ...


class _Timed(Struct, frozen=True):
    """A timer's function."""

    run: FunctionRun
    capture: str  # its state's key
    space: str | None  # where the disk has its timers; None where its state is not durable
    waits: bool  # for room in the outbox


class _Scheduled(Struct, frozen=True):
    """A cron line's function."""

    run: FunctionRun
    schedule: Schedule
    waits: bool  # for room in the outbox


class Firing:
    """Fires what is due."""

    def __init__(self, host: Host) -> None:
        self._host = host
        clocks = host.clocks
        self.clock: NodeClock = clocks.node or plain_clock(clocks.wall, clocks.monotonic)
        self.timers: Timers = Timers(self.clock)
        self.beats: list[tuple[FunctionRun, float]] = []  # with their periods, seconds
        self.wake: Callable[[], None] = _nobody  # told when something may be due earlier than it was
        self._timed: dict[str, _Timed] = {}
        self._crons: dict[str, _Scheduled] = {}
        self._positions: dict[str, Schedule] = {}  # of all crons that this process has had
        self.turn(host.version)

    def turn(self, version: Version) -> None:
        """Fire the functions of another version: what is pending goes on, and by its own time.

        Of a function that is not there any more it rests, and goes on when the function is back.
        """
        self.beats.clear()
        self._crons.clear()
        timed: dict[str, _Timed] = {}
        for function in version.app.edge_functions:
            run, trigger, was = version.functions[function.name], function.trigger, function.was
            match trigger:
                case Every():
                    self.beats.append((run, trigger.period))
                case Cron():
                    schedule = self._schedule(run.name, trigger, was)
                    self._crons[run.name] = _Scheduled(run, schedule, function.on_full == "wait")
                case Timer():
                    state = version.app.states[trigger.state]
                    space = f"timer:{run.name}" if state.durable else None
                    timed[run.name] = _Timed(run, state.key, space, function.on_full == "wait")
                    if not self.timers.wake(run.name):
                        kept = load_renamed(self._host.outbox, "timer", run.name, was) if space else {}
                        self.timers.restore(run.name, kept)
                case _:
                    pass
        for name in self._timed.keys() - timed.keys():
            self.timers.rest(name)
        self._timed = timed
        self.wake()

    def _schedule(self, name: str, trigger: Cron, was: str | None) -> Schedule:
        """Return a function's times: the same ones for the same line, or others that begin now."""
        known = self._positions.get(name)
        if known is None or known.line != str(trigger):
            stored = load_renamed(self._host.outbox, "cron", name, was)
            known = self._positions[name] = Schedule(trigger, stored.get(""))
        return known

    def kept(self) -> list[tuple[str, str, bytes]]:
        """Return the pending timers as the disk has them: space, key and value."""
        timers = self.timers
        found: list[tuple[str, str, bytes]] = []
        for name in self._timed:
            found += [(f"timer:{name}", one.key, timers.kept(one)) for one in timers.pending(name)]
        return found

    # -- what a call asks for

    def ask(self, asked: Sequence[TimerAsk], work: Work) -> None:
        """Set and cancel timers as a call that has returned asked for, with its transaction."""
        timers = self.timers
        for one in asked:
            function, key = one.function, one.key
            if (timed := self._timed.get(function)) is None:  # a call of a version before has asked
                self._add("timers_without_function")
                continue
            space = timed.space
            before = timers.find(function, key)
            if one.delay is None:
                after = None
            elif before is None or one.restart:
                after = timers.made(function, key, self._host.event_id(), one.delay)
            else:
                continue
            timers.put(function, key, after)
            work.steps.append(partial(timers.put, function, key, before))
            if space is not None and before is not after:
                work.tx.puts.append(Put(space, key, None if after is None else timers.kept(after)))
        self.wake()

    # -- what is due

    @property
    def due(self) -> int | None:
        """When `look` has something to do, monotonic ns; None: not before somebody asks for a timer."""
        monotonic = self._host.clocks.monotonic()
        at, wall = self.timers.due(), self.clock.believed() if self._crons else None
        moments = [] if at is None else [monotonic + at - self.timers.now()]
        for one in self._crons.values() if wall is not None else ():
            schedule = one.schedule
            moments.append(max(schedule.rests_until, monotonic + (schedule.next_at() or 0) - (wall or 0)))
        return min(moments, default=None)

    def look(self) -> None:
        """Fire what is due; the node calls this at `due` and once a second, for clocks are set."""
        if self._timed:
            self._keep(self.timers.follow_wall_clock())
            for timer in self.timers.ripe(AT_ONCE):
                self._fire(timer)
        if self._crons and (wall := self.clock.believed()) is not None:
            for one in self._crons.values():
                self._run_missed(one, wall)

    def _keep(self, moved: Iterable[Pending]) -> None:
        """Let the disk have the new times of timers that the wall clock has left."""
        spaces = ((self._timed[timer.function].space, timer) for timer in moved)
        self._write([Put(space, timer.key, self.timers.kept(timer)) for space, timer in spaces if space])

    def _write(self, puts: list[Put]) -> None:
        """Let the disk have what it can do without: nothing waits for it, and a disk that refuses is told."""
        tx = Transaction()
        tx.puts += puts
        with suppress(OutboxBroken):
            if puts:
                self._host.outbox.append(tx, None)

    def _fire(self, timer: Pending) -> None:
        """Run a timer's function, as soon as no call holds its cells."""
        host, timers = self._host, self.timers
        work = Work(host, f"{timer.function}/{timer.key}", b"", NODE, host.clocks.monotonic())

        def begin() -> Ticket | None:
            timed = self._timed.get(timer.function)
            if timed is None or not timers.is_pending(timer):  # it was cancelled while it waited
                return None
            bound = timed.run.bind({timed.capture: timer.key})
            for slot in bound.slots:
                cell = slot.cells.held(slot.key)
                if cell is not None and len(cell.waiting) >= MAX_WAITING:
                    self._put_back(timer)
                    return None
                if cell is not None:
                    return queue(cell, work, begin)
            late, wall = timers.now() - timer.due, host.wall_of(work.read_at)
            work.cause(Origin(timer.id, wall, wall - late, None, work.read_at))
            self._count("timers_fired", late)
            timers.put(timer.function, timer.key, None)
            work.steps.append(
                partial(self._put_back, timer) if timed.waits else partial(self._drop, timer, timed.space)
            )
            if timed.space is not None:
                work.tx.puts.append(Put(timed.space, timer.key, None))
            return host.start(bound, work)

        begin()

    def _put_back(self, timer: Pending) -> None:
        """Try a firing again after a pause: nothing of it was kept."""
        if self.timers.find(timer.function, timer.key) is None:  # else a newer one takes its place
            self.timers.again(timer)
        self._add("timers_put_off")
        self.wake()

    def _drop(self, timer: Pending, space: str | None) -> None:
        """Give a firing up that found no room, as its function says."""
        if self.timers.find(timer.function, timer.key) is None and space is not None:
            self._write([Put(space, timer.key, None)])
        self._given_up(timer.function, "timers_dropped")

    def _run_missed(self, one: _Scheduled, wall: int) -> None:
        """Run a function for the newest of its times that have come."""
        host, run, schedule = self._host, one.run, one.schedule
        if schedule.begin(wall):
            self._write([Put(f"cron:{run.name}", "", schedule.kept())])
        at, monotonic = schedule.missed(wall), host.clocks.monotonic()
        if at is None or monotonic < schedule.rests_until:
            return
        work = Work(host, run.name, b"", NODE, monotonic)
        work.cause(Origin(f"{host.node}:{run.name}:{at // 1_000_000_000}", wall, at, None, work.read_at))
        self._count("crons_fired", wall - at)
        before = schedule.take(at)
        back = (
            partial(self._give_back, schedule, at, before)
            if one.waits
            else partial(self._pass_over, run.name, schedule)
        )
        work.steps.append(back)
        work.tx.puts.append(Put(f"cron:{run.name}", "", schedule.kept()))
        host.start(run.bind({}), work)

    def _give_back(self, schedule: Schedule, at: int, before: int) -> None:
        schedule.give_back(at, before)
        schedule.rests_until = self._host.clocks.monotonic() + PAUSE
        self._add("crons_put_off")

    def _pass_over(self, name: str, schedule: Schedule) -> None:
        """Take a time as run whose firing found no room, as its function says."""
        self._write([Put(f"cron:{name}", "", schedule.kept())])
        self._given_up(name, "crons_dropped")

    def _given_up(self, function: str, counter: str) -> None:
        self._add(counter)
        if self._host.counters[counter] == 1:
            log.warning("a firing was given up for want of room; the others are counted", function=function)

    def _count(self, name: str, late: int) -> None:
        self._add(name)
        if late > LATE:
            self._add(f"{name}_late")

    def _add(self, name: str) -> None:
        self._host.counters[name] = self._host.counters.get(name, 0) + 1

    # -- what is told

    def told(self) -> dict[str, tuple[int, int | None]]:
        """Return of each function how many firings are pending, and when the next is, wall ns."""
        found = {name: self.timers.next_of(name) for name in self._timed}
        believed = self.clock.believed()
        for name, one in self._crons.items():
            found[name] = 1, None if believed is None else one.schedule.next_at()
        return found

    def problem(self) -> str | None:
        """Return what somebody should know of: no room, or no time."""
        if len(self.timers) >= self.timers.limit:
            return f"{self.timers.limit} timers are pending, the limit: messages that start one are refused"
        if self._crons and self.clock.believed() is None:
            return "the wall clock is not believed: functions with a cron line wait for it"
        return None


def _nobody() -> None:
    """Stand in where no loop has to be told."""
