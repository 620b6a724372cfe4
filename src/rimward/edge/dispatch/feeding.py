"""Feeding streams: events in, and what falls out forwarded and handed to the functions that follow.

What has left a chain is the stream's to deliver: until it is in a transaction it stays with its key, on disk
too, so that neither a full disk nor a kill loses it.
A stream with `on_full="drop"` gives up what finds no room.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from msgspec import Struct

from rimward.app.facts import Fact
from rimward.edge.dispatch.call import Call, Ground
from rimward.edge.dispatch.functions import Bound, FunctionRun
from rimward.edge.dispatch.keys import AGAIN, Key, KeysFull
from rimward.edge.dispatch.marking import Mark
from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.ports import NODE, Clocks, OutboxPort
from rimward.edge.dispatch.streams import MAX_AHEAD, BoundInlet, Emitted, StreamRun, Tap
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.work import Desk, Work
from rimward.edge.stopping import Stopped
from rimward.events import OutboxBroken, OutboxFull, RowTooLarge
from rimward.events.raised import place_of
from rimward.observe import Logger, get_logger
from rimward.streams import Item

log: Logger = get_logger("rimward.dispatch")

HELD = 1_000  # values of a key that wait for room; a message that would add to them is refused


class Host(Ground, Desk, Protocol):
    """What feeding asks of the dispatcher."""

    clocks: Clocks
    words: memoryview
    outbox: OutboxPort
    counters: dict[str, int]
    streams: dict[str, StreamRun]
    facts: dict[type[Struct], Fact]

    def run(self, bound: Bound, time_field: str | None, work: Work, given: Any = None) -> None:
        """Run one function."""
        ...

    def end(self, work: Work, /) -> Ticket | None:
        """Commit and answer."""
        ...


class Feeder:
    """The dispatcher's hand for streams."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def advance(self) -> None:
        """Do what is due without an event: windows of silent keys end; the node calls this once a second."""
        now = self._host.clocks.monotonic()
        for stream in self._host.streams.values():
            due = stream.keys.due()
            if due is None or due > now:
                continue
            for key in stream.keys.waking(now):
                self._wake(stream, key, now)

    def _wake(self, stream: StreamRun, key: Key, now: int) -> None:
        if stream.keys.is_over(key, now) and key.chain.deadline() is None:
            stream.keys.forgotten(key)
            return
        work = Work(self._host, stream.name, b"", NODE, now)
        items: Sequence[Item] = ()
        deadline = key.chain.deadline()
        if key.clock is not None and deadline is not None and deadline <= (clock := key.clock_at(now)):
            mark = Mark(self._host.words, stream, work)
            mark.begin(now)
            stream.aside.until = self._host.wall_of(now) + MAX_AHEAD
            try:
                items = key.chain.advance(clock)
            except Stopped as stopped:
                self._stopped(stream, stopped.settle(), work)
            finally:
                mark.end()
                key.deadline = key.chain.deadline()
        self._hand_out(stream, key.names, key, items, work)
        if not work.pending:  # else a follower that goes on ends it
            self._host.end(work)

    def feed(self, bound: BoundInlet, work: Work, *, waits: bool) -> None:
        """Give a message to a stream."""
        stream = bound.stream
        mark = Mark(self._host.words, stream, work)
        mark.begin(self._host.clocks.monotonic())
        try:
            names, key, items = self._taken(bound, work)
        except BadPayloadError as error:
            if work.error != "payload":  # a function of the same message has buried it already
                work.error = "payload"
                work.refuse(error.kind, str(error))
                work.bury(error.kind, str(error), stream.name)
            return
        except (KeysFull, OutboxFull, OutboxBroken) as error:
            stream.full += 1
            work.undo()
            work.withhold(str(error))
            return
        except Exception as error:  # noqa: BLE001 (a user's filter, map or apply)
            self._failed(stream, error, work)
            return
        except Stopped as stopped:
            self._stopped(stream, stopped.settle(), work)
            return
        finally:
            mark.end()
        if key is not None:
            work.must_wait = work.must_wait or waits
        self._hand_out(stream, names, key, items, work)

    def _taken(self, bound: BoundInlet, work: Work) -> tuple[tuple[str, ...], Key | None, Sequence[Item]]:
        """Run a message through a stream; return its key, None where nothing is kept, and what falls out."""
        stream, host = bound.stream, self._host
        received = host.wall_of(work.read_at)
        value, time = bound.inlet.read(work.data, work.content_type, received)
        text, names = bound.key_of(value)
        item = (time, value, None)
        if not stream.stateful:
            return names, None, stream.pass_by(names, bound.inlet.source, item)
        key = stream.keys.get(text, names)
        self._check_held(stream, key)
        return names, key, stream.take(key, bound.inlet.source, item, received, host.clocks.monotonic())

    def _check_held(self, stream: StreamRun, key: Key) -> None:
        """Raise OutboxFull where as many of a key's values wait for room as may."""
        if len(key.held) >= HELD:
            raise OutboxFull(f"{stream.name}: {HELD} values of {key.text} wait for room in the outbox")

    def _pour(self, tap: Tap, names: tuple[str, ...], item: Item, work: Work) -> None:
        """Give a stream a value that another one's key gave; it is given once, and never taken back."""
        stream, clocks = tap.stream, self._host.clocks
        mark = Mark(self._host.words, stream, work)
        key: Key | None = None
        mark.begin(clocks.monotonic())
        try:
            text, own = tap.key_of(names, item[1])
            item = tap.item_of(names, item)
            if stream.stateful:
                key = stream.keys.get(text, own)
                self._check_held(stream, key)
                received = max(item[0], self._host.wall_of(work.read_at))
                items = stream.take(key, tap.source, item, received, clocks.monotonic())
            else:
                items = stream.pass_by(own, tap.source, item)
        except (KeysFull, OutboxFull, OutboxBroken) as error:
            stream.full += 1  # the message is folded already: sent again it would count twice
            work.bury("full", str(error), stream.name)
            return
        except Exception as error:  # noqa: BLE001 (a user's filter, map or apply)
            self._failed(stream, error, work)
            return
        except Stopped as stopped:
            self._stopped(stream, stopped.settle(), work)
            return
        finally:
            mark.end()
        self._hand_out(stream, own, key, items, work)

    # -- what falls out

    def _hand_out(
        self, stream: StreamRun, names: tuple[str, ...], key: Key | None, items: Sequence[Item], work: Work
    ) -> None:
        """Deliver what a stream gave, and give it to the streams behind; there is no key where none is kept.

        Nothing is committed meanwhile: a kill finds a value with the key that gave it, or with those that
        took it.
        """
        lates = stream.aside.lates
        if lates or stream.aside.errors:
            self._aside(stream, names, work)
        items = stream.finish(items, names) if items else ()
        if key is not None:
            if items or key.held:
                self._emit(stream, key, items, work)
            stream.keys.touched(key)
        elif not self._pass(stream, names, items, work):
            return
        for taps, given in ((stream.behind, items), (stream.late_behind, lates)):
            for item in given if taps else ():
                for tap in taps:
                    self._pour(tap, names, item, work)

    def _aside(self, stream: StreamRun, names: tuple[str, ...], work: Work) -> None:
        """Tell of what came too late, and of what users' functions raised."""
        aside = stream.aside
        lates, aside.lates = aside.lates, []
        errors, aside.errors = aside.errors, []
        stream.late += len(lates)
        for _, value, _ in lates:
            self._follow(stream, stream.late_followers, names, value, work)
        for _, error in errors:
            self._failed(stream, error, work)

    def _stopped(self, stream: StreamRun, stopped: Stopped, work: Work) -> None:
        stream.errors += 1
        log.warning("a stream was stopped", stream=stream.name, at=stopped.place)
        work.refuse("timeout", f"{stream.name} was stopped")
        work.bury("timeout", str(stopped), stream.name)

    def _failed(self, stream: StreamRun, error: Exception, work: Work) -> None:
        stream.errors += 1
        work.refuse("failed", f"{stream.name} raised {type(error).__name__}")
        work.bury("failed", f"{type(error).__name__}: {error} at {place_of(error)}", stream.name)

    def _pass(self, stream: StreamRun, names: tuple[str, ...], items: Sequence[Item], work: Work) -> bool:
        """Deliver what a stream gave that keeps nothing: the message brings again what finds no room.

        Tell whether there was room.
        """
        for item in items:
            try:
                self._deliver(stream, names, item, work)
            except (OutboxFull, OutboxBroken) as error:
                if stream.drops:
                    self._drop(stream, 1)
                    continue
                work.undo()
                work.withhold(str(error))
                self._count_full(stream)
                return False
        return True

    def _emit(self, stream: StreamRun, key: Key, items: Sequence[Item], work: Work) -> None:
        """Deliver what a key gave, after what it holds from before; keep what finds no room."""
        waiting = [*key.held, *items]
        key.held = []
        delivered: list[Item] = []
        for index, item in enumerate(waiting):
            try:
                self._deliver(stream, key.names, item, work)
            except (OutboxFull, OutboxBroken):
                if stream.drops:
                    self._drop(stream, 1)
                    continue
                self._count_full(stream)
                self._hold(key, waiting[index:])
                break
            delivered.append(item)
        if not delivered:
            return
        work.steps.append(partial(self._take_back, stream, key, delivered))
        if work.pending and stream.followers:  # the transaction comes later: a kill before it loses nothing
            delivered = [one if one[2] is not None else self._named(one) for one in delivered]
            key.held = [*delivered, *key.held]
            work.ends.append(partial(self._settle, stream, key, delivered))
            key.again = 1 << 62

    def _take_back(self, stream: StreamRun, key: Key, items: list[Item]) -> None:
        """Hold again what a transaction had that came to nothing."""
        if stream.drops:
            self._drop(stream, len(items))
            return
        if (newest := stream.newest()) is not stream:
            stream, items = newest, newest.fits(items)
        held = stream.keys.current(key)
        self._hold(held, [*items, *held.held])
        stream.keys.touched(held)

    def _settle(self, stream: StreamRun, key: Key, items: list[Item]) -> None:
        """Let go of what the transaction now has."""
        stream = stream.newest()
        held = stream.keys.current(key)
        held.held = [one for one in held.held if one[2] not in {item[2] for item in items}]
        held.again = 0
        stream.keys.touched(held)

    def _hold(self, key: Key, items: list[Item]) -> None:
        key.held = [one if one[2] is not None else self._named(one) for one in items]
        key.again = self._host.clocks.monotonic() + AGAIN

    def _named(self, item: Item) -> Item:
        """Return an item with a name of its own, now that its message goes on without it."""
        return (item[0], item[1], f"{item[0]}.{self._host.event_id()}")

    def _drop(self, stream: StreamRun, values: int) -> None:
        """Give values up that found no room, as their stream says."""
        if not stream.dropped:
            log.warning("a value was given up for want of room; the others are counted", stream=stream.name)
        stream.dropped += values

    def _count_full(self, stream: StreamRun) -> None:
        counters, name = self._host.counters, f"stream_full:{stream.name}"
        counters[name] = counters.get(name, 0) + 1

    def _deliver(self, stream: StreamRun, names: tuple[str, ...], item: Item, work: Work) -> None:
        """Forward an item and run what follows.

        Raises:
            OutboxFull, OutboxBroken: there is no room; nothing of it has happened.
        """
        fact = stream.declaration.fact
        if fact is not None:
            self._forward(fact, stream, "/".join((stream.name, *names)), item, work)
        if stream.followers:
            self._follow(stream, stream.followers, names, item[1], work)

    def _follow(
        self,
        stream: StreamRun,
        followers: list[FunctionRun],
        names: tuple[str, ...],
        value: Any,
        work: Work,
    ) -> None:
        captures = dict(zip(stream.declaration.stream.keys, names, strict=True))
        for run in followers:
            self._host.run(run.bind(captures), None, work, value)

    def _forward(self, fact: Fact, stream: StreamRun, name: str, item: Item, work: Work) -> None:
        try:
            call = Call(self._host, Emitted(work, name, item))
            call.forward(item[1])
        except (TypeError, ValueError, RowTooLarge) as error:
            stream.errors += 1
            work.bury(
                "failed",
                f"{stream.name} made a value that does not fit {fact.spec.name}: {error}",
                stream.name,
            )
            return
        work.tx.forwards += call.forwards or []
        self._host.counters["forwards"] += 1
