"""What comes to the dispatcher, and what its functions make of it, as the lines of a recording.

It stands before the dispatcher only while a recording is on: attached, it takes the places of the door that
the MQTT gateway knows, of the router and of the clock; detached, nothing of it is left on any path.
"""

import random
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from rimward.app.effects import Action as Published
from rimward.edge.dispatch import Clocks, Dispatcher, FunctionRun
from rimward.edge.dispatch.types import Message, Reply, Request, Router, Sender, Socket, Ticket
from rimward.edge.dispatch.work import Work
from rimward.edge.recording.tap import Tap
from rimward.events.cloudevents import to_structured
from rimward.wire.recording import (
    VERSION,
    Action,
    Answered,
    Asked,
    Beaten,
    Begun,
    Body,
    Clock,
    Command,
    Effect,
    Line,
    Stored,
    body,
    withheld,
)
from rimward.wire.recording import Message as Heard

READINGS = 1000  # of the clock that are kept of one event
PENDING = 10_000  # events whose async functions still run
CREDENTIALS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "sec-websocket-protocol", "set-cookie", "x-api-key"}
)  # header fields that no recording has

Keep = Callable[[list[Line]], None]  # an event with what came of it, in order


class Verdict(Protocol):
    """Says what is withheld."""

    withheld_tables: frozenset[str]

    @property
    def strict(self) -> bool:
        """Whether what has no known cause is withheld."""
        ...

    def topic(self, topic: str) -> bool:
        """Tell whether a message's payload is withheld."""
        ...

    def request(self, protocol: str, method: str, path: str) -> bool:
        """Tell whether a request's body is withheld."""
        ...

    def function(self, run: FunctionRun) -> bool:
        """Tell whether what a function makes is withheld."""
        ...

    def learn(self, topic: str) -> None:
        """Take that a message on a topic has become a fact that is withheld."""
        ...


class Recorder:
    """Hears a dispatcher from `attach` to `detach`; a door for MQTT, and the dispatcher's ear."""

    def __init__(self, dispatcher: Dispatcher, verdict: Verdict, keep: Keep) -> None:
        self.listens: bool = True
        self.events: int = 0
        self._dispatcher = dispatcher
        self._verdict = verdict
        self._keep = keep
        self._clocks = dispatcher.clocks
        self._wall = dispatcher.clocks.wall
        self.at: int = dispatcher.wall_of(dispatcher.clocks.monotonic()) // 1000 * 1000
        self._columns = {
            fact.spec.table: tuple(column.name for column in fact.spec.columns)
            for fact in dispatcher.facts.values()
        }
        self._router: Router = dispatcher.router
        self._end: Callable[[Work], Ticket | None] = dispatcher.end
        self._current = 0  # the event that runs now
        self._hidden = False  # its payload is withheld
        self._ended = False  # it has come to its end
        self._lines: list[Line] = []  # of it
        self._now: list[int] = []  # what it was told of the time
        self._loose: list[Action | Command] = []  # of no event that runs now
        self._waiting: dict[tuple[int, str], deque[tuple[int, bool]]] = {}  # async, by read time and source

    def begun(self, app: str) -> Begun:
        """Return the first line, but for what is said of the state and the labels."""
        dispatcher = self._dispatcher
        _, numbers, gauss = random.getstate()
        return Begun(
            version=VERSION,
            app=app,
            node=dispatcher.node,
            at=self.at,
            boot=dispatcher.tracing.boot,
            events=dispatcher._event_count,
            commands=dispatcher.commands._count,
            beats={run.name: period for run, period in dispatcher.beats},
            random=struct.pack(f"<{len(numbers)}I", *numbers),
            gauss=gauss,
        )

    def attach(self) -> None:
        """Hear from now on."""
        dispatcher = self._dispatcher
        self._router, self._end = dispatcher.router, dispatcher.end
        dispatcher.ear = self
        dispatcher.router = Tap(self._router, self)
        dispatcher.end = self._close
        dispatcher.clocks = Clocks(self._clocks.monotonic, self._read_wall)

    def detach(self) -> None:
        """Hear no more."""
        dispatcher = self._dispatcher
        self._flush()
        dispatcher.ear, dispatcher.router = None, self._router
        dispatcher.end, dispatcher.clocks = self._end, self._clocks

    # -- what comes in

    def plain(self, topic: str, payload: bytes, qos: int, sender: Sender, read_at: int) -> Ticket | None:
        """Hear a message that is a topic and a payload."""
        if not self.listens:
            return self._dispatcher.plain(topic, payload, qos, sender, read_at)
        hidden = self._verdict.topic(topic)
        number, at = self.events + 1, self._dispatcher.wall_of(read_at) - self.at
        shown = withheld(payload) if hidden else body(payload)
        heard = Heard(number, at, sender.protocol, sender.id, topic, qos, shown, sender.user)
        self._open(heard, hidden=hidden)
        ticket: Ticket | None = None
        try:
            given = Message(topic, payload, qos, sender, read_at)  # the end of all that leaves facts is heard
            ticket = self._dispatcher.plain(topic, payload, qos, sender, read_at, given)
        finally:
            self._over(ticket, read_at, topic)
        return ticket

    def message(self, message: Message) -> Ticket | None:
        """Hear a message."""
        if not self.listens:
            return self._dispatcher.message(message)
        hidden, sender = self._verdict.topic(message.topic), message.sender
        self._open(
            Heard(
                n=self.events + 1,
                at=self._dispatcher.wall_of(message.read_at) - self.at,
                protocol=sender.protocol,
                sender=sender.id,
                topic=message.topic,
                qos=message.qos,
                payload=withheld(message.payload) if hidden else body(message.payload),
                user=sender.user,
                content_type=message.content_type,
                response_topic=message.response_topic,
                correlation=message.correlation,
                traceparent=message.traceparent,
                attributes=() if hidden else message.attributes,
            ),
            hidden=hidden,
        )
        ticket: Ticket | None = None
        try:
            ticket = self._dispatcher.message(message)
        finally:
            self._over(ticket, message.read_at, message.topic)
        return ticket

    def request(self, request: Request) -> Ticket:
        """Hear a request."""
        sender = request.sender
        hidden = self._verdict.request(sender.protocol, request.method, request.path)
        data = request.raw or request.body
        self._open(
            Asked(
                n=self.events + 1,
                at=self._dispatcher.wall_of(request.read_at) - self.at,
                protocol=sender.protocol,
                sender=sender.id,
                method=request.method,
                path=request.path,
                payload=withheld(data) if hidden else body(request.body),
                query="" if hidden else request.query,
                headers={
                    name: value
                    for name, value in request.headers.items()
                    if name not in CREDENTIALS and not (hidden and name.startswith("ce-"))
                },
                user=sender.user,
            ),
            hidden=hidden,
        )
        ticket: Ticket | None = None
        try:
            ticket = self._dispatcher.request(request)
        finally:
            if ticket is not None and ticket.done and not self._ended:
                self._answered(ticket.reply, ticket)
            self._over(ticket, request.read_at, request.path)
        assert ticket is not None
        return ticket

    def socket(self, path: str) -> Socket | None:
        """Return what a WebSocket meets, as the dispatcher has it."""
        return self._dispatcher.socket(path)

    def beat(self, run: FunctionRun) -> None:
        """Hear that a function runs at its beat."""
        read_at = self._clocks.monotonic()
        at = self._dispatcher.wall_of(read_at) - self.at
        self._open(Beaten(self.events + 1, at, run.name), hidden=self._verdict.function(run))
        try:
            self._dispatcher.beat(run)
        finally:
            self._over(None, read_at, run.name)

    # -- what comes of it

    def published(self, actions: Sequence[Published]) -> None:
        """Take what a call has published."""
        for topic, payload, qos, retain in actions:
            self._effect(Action(self._current, topic, self._shown(payload), qos, retain))

    def commanded(self, device: str, name: str, payload: bytes) -> None:
        """Take what a call has commanded a device to do."""
        self._effect(Command(self._current, device, name, self._shown(payload)))

    def _effect(self, effect: Action | Command) -> None:
        if self._current:
            self._lines.append(effect)
        else:
            self._loose.append(effect)

    def _shown(self, payload: bytes) -> Body:
        hidden = self._hidden if self._current else self._verdict.strict
        return withheld(payload) if hidden else body(payload)

    def _read_wall(self) -> int:
        now = self._wall()
        if self._current and len(self._now) < READINGS:
            self._now.append(now - self.at)
        return now

    def _close(self, work: Work) -> Ticket | None:
        """Take the end of an event, or of a function that ends apart from it."""
        here = self._current
        if not here:
            self._current, self._hidden = self._cause(work)
            self._lines += [_of(effect, self._current) for effect in self._loose]
            self._loose.clear()
        ticket = self._end(work)
        if work.durable:
            for row in work.tx.forwards:
                self._store(row.fact, row.values, work.source)
        if work.refusal is not None or work.reply is not None:
            self._answered(work.reply, work)
        if here:
            self._ended = True
        else:
            self._current = 0
            self._flush()
        return ticket

    def _cause(self, work: Work) -> tuple[int, bool]:
        """Return the event of an async function that has ended, and whether it is withheld."""
        key = work.read_at, work.source
        waiting = self._waiting.get(key)
        if waiting is None:
            return 0, self._verdict.strict
        found = waiting.popleft()
        if not waiting:
            del self._waiting[key]
        return found

    def _store(self, table: str, values: tuple[Any, ...], source: str) -> None:
        hidden = self._hidden
        if table in self._verdict.withheld_tables:
            if not hidden:
                self._verdict.learn(source)
                self._withhold()
            hidden = True
        shown = None if hidden else dict(zip(self._columns[table], values, strict=True))
        self._lines.append(Stored(self._current, table, shown))

    def _withhold(self) -> None:
        """Withhold what is known of the event that runs, and what comes."""
        self._hidden = True
        self._lines = [_without(line) for line in self._lines]

    def _answered(self, reply: Reply | None, told: "Work | Ticket") -> None:
        refusal, hidden = told.refusal, self._hidden
        if refusal is not None:
            detail = None if hidden else refusal.detail
            self._lines.append(Answered(self._current, refused=refusal.kind, detail=detail))
        elif reply is not None:
            data, kind = reply.body, reply.content_type
            if reply.event is not None:
                carried = to_structured(reply.event)
                data, kind = carried.body, carried.content_type
            shown = withheld(data) if hidden else body(data)
            self._lines.append(Answered(self._current, reply.status, shown, kind))

    # -- one event after the other

    def _open(self, line: Line, *, hidden: bool) -> None:
        self._flush()
        self.events += 1
        self.listens = False
        self._current, self._hidden, self._ended = self.events, hidden, False
        self._lines.append(line)

    def _over(self, ticket: Ticket | None, read_at: int, source: str) -> None:
        if ticket is not None and not self._ended and not ticket.done and len(self._waiting) < PENDING:
            waiting = self._waiting.setdefault((read_at, source), deque())
            waiting.append((self._current, self._hidden))
        if self._now:
            self._lines.insert(1, Clock(self._current, tuple(self._now)))
            self._now = []
        self._current, self.listens = 0, True
        self._flush()

    def _flush(self) -> None:
        """Hand on what is complete."""
        if self._loose:
            self._lines += self._loose
            self._loose.clear()
        if self._lines:
            self._keep(self._lines)
            self._lines = []


def _of(effect: Action | Command, number: int) -> Effect:
    if isinstance(effect, Action):
        return Action(number, effect.topic, effect.payload, effect.qos, effect.retain)
    return Command(number, effect.device, effect.name, effect.payload)


def _without(line: Line) -> Line:
    """Return a line without its payload."""
    if isinstance(line, Heard):
        return replace(line, payload=withheld(line.payload.read()), attributes=())
    if isinstance(line, Asked):
        return replace(line, payload=withheld(line.payload.read()), query="", headers={})
    if isinstance(line, Action | Command):
        return replace(line, payload=withheld(line.payload.read()))
    if isinstance(line, Stored):
        return replace(line, values=None)
    if isinstance(line, Answered):
        shown = None if line.payload is None else withheld(line.payload.read())
        return replace(line, payload=shown, detail=None)
    return line
