"""Feeding streams: events in, and what falls out forwarded and handed to the functions that follow."""

from typing import Any, Protocol

from msgspec import Struct

from rimward.app.facts import Fact
from rimward.edge.dispatch.call import Call, Ground
from rimward.edge.dispatch.functions import Bound
from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.ports import NODE, Clocks, OutboxPort
from rimward.edge.dispatch.streams import Emitted, StreamRun
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.work import Desk, Work
from rimward.events import OutboxBroken, OutboxFull, RowTooLarge
from rimward.events.raised import place_of


class Host(Ground, Desk, Protocol):
    """What feeding asks of the dispatcher."""

    clocks: Clocks
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
        """Close the windows of keys that have fallen silent; the node calls this once a second."""
        for stream in self._host.streams.values():
            for key, emitted in stream.advance(self._host.clocks.monotonic()):
                work = Work(self._host, stream.name, b"", NODE, self._host.clocks.monotonic())
                self.emit(stream, key, emitted, work)
                self._host.end(work)

    def feed(self, stream: StreamRun, captures: dict[str, str], work: Work, *, waits: bool) -> None:
        now = self._host.clocks.monotonic()
        try:
            received = self._host.wall_of(work.read_at)
            key, emitted = stream.feed(work.data, captures, now, received, work.content_type)
        except BadPayloadError as error:
            if work.error != "payload":  # a function of the same message has buried it already
                work.error = "payload"
                work.refuse(error.kind, str(error))
                work.bury(error.kind, str(error), stream.name)
            return
        except Exception as error:  # noqa: BLE001 (a user's filter, map or apply)
            stream.errors += 1
            work.refuse("failed", f"{stream.name} raised {type(error).__name__}")
            work.bury("failed", f"{type(error).__name__}: {error} at {place_of(error)}", stream.name)
            return
        if key is None:
            return
        if stream.windowed:
            self._touch(stream, key)
            work.must_wait = work.must_wait or waits
        self.emit(stream, key, emitted, work)

    def _touch(self, stream: StreamRun, key: str) -> None:
        self._host.outbox.touch(f"stream:{stream.name}", key, lambda: stream.snapshot(key))

    def emit(self, stream: StreamRun, key: str, emitted: list[Emitted], work: Work) -> None:
        if emitted and stream.windowed:
            self._touch(stream, key)
        for value in emitted:
            if stream.declaration.fact is not None:
                self._forward_emitted(stream.declaration.fact, stream, key, value, work)
            for run in stream.followers:
                self._host.run(run.bind({}), None, work, value.value)

    def _forward_emitted(self, fact: Fact, stream: StreamRun, key: str, value: Emitted, work: Work) -> None:
        try:
            call = Call(self._host, value.source(work, f"{stream.name}/{key}"))
            call.forward(value.value)
        except (OutboxFull, OutboxBroken) as error:
            work.undo()
            work.withhold(str(error))
            self._host.counters[f"stream_full:{fact.spec.table}"] = (
                self._host.counters.get(f"stream_full:{fact.spec.table}", 0) + 1
            )
            return
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
