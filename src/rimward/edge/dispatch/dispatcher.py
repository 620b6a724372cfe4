"""Dispatch: a message comes in, its functions run in the same tick, and one answer goes out.

One message is one transaction (GUARANTEES §1): forwards, durable state and dead letters of all its
functions are committed together, and the answer waits for that; a message with nothing durable waits for
nothing. Actions leave when their call returns.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app import App
from rimward.app.effects import Action, current
from rimward.app.facts import Fact
from rimward.app.functions import StreamDeclaration
from rimward.app.triggers import Every, Http, Mqtt
from rimward.edge.dispatch.call import Call
from rimward.edge.dispatch.failures import bad_payload, check_time, failed, refused, replied
from rimward.edge.dispatch.feeding import Feeder
from rimward.edge.dispatch.functions import Bound, FunctionRun, Held, Plain, fill
from rimward.edge.dispatch.payloads import BadPayloadError, decode, encode_reply
from rimward.edge.dispatch.ports import NODE, TOPICS_CACHED, Clocks, Listeners, OutboxPort
from rimward.edge.dispatch.routes import Routes, path_segments
from rimward.edge.dispatch.streams import StreamRun
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Message, Refusal, Reply, Request, Router, Ticket
from rimward.edge.dispatch.waiting import Waiting
from rimward.edge.dispatch.work import Work
from rimward.edge.state import MAX_WAITING, Cell, Cells
from rimward.events import Event, RimwardError
from rimward.observe import get_logger

log = get_logger("rimward.dispatch")

enter, leave = current.set, current.reset


class Dispatcher:
    """The `Door` of a node: routes messages to functions and their effects to where they belong."""

    def __init__(self, app: App, node: str, clocks: Clocks, outbox: OutboxPort, tracing: Tracing) -> None:
        self.facts: dict[type[Struct], Fact] = app.facts
        self.node = node
        self.clocks = clocks
        self.tracing = tracing
        self.admit = outbox.admit
        self.router: Router  # set by the node before any gateway listens
        self.events = 0
        self.actions = 0
        self.counters: dict[str, int] = {"forwards": 0, "replies_dropped": 0}
        self.outbox = outbox
        self._clock = clocks.monotonic
        self._offset = clocks.wall() - clocks.monotonic()
        self._event_count = 0
        self.waiting = Waiting(self, clocks.monotonic)
        self._cells = {
            struct: Cells(type_, outbox.load(f"state:{struct.__name__}"))
            for struct, type_ in app.states.items()
        }
        self.functions = {
            function.name: FunctionRun(function, self._cells) for function in app.edge_functions
        }
        self._cache: dict[str, Listeners] = {}
        self._lane: dict[str, Plain] = {}  # of those topics that have one plain function and nothing else
        self._topics: Routes[tuple[FunctionRun | StreamRun, str | None]] = Routes()
        self._paths: dict[str, Routes[FunctionRun]] = {}
        self.beats: list[tuple[FunctionRun, float]] = []
        self.streams: dict[str, StreamRun] = {}
        self.feeder = Feeder(self)
        self._add_routes(app)

    def _add_routes(self, app: App) -> None:
        followers: dict[str, list[FunctionRun]] = {}
        for function in app.edge_functions:
            run, trigger = self.functions[function.name], function.trigger
            match trigger:
                case Mqtt():
                    self._topics.add(trigger.pattern, (run, trigger.time))
                case Http():
                    self._paths.setdefault(trigger.method, Routes()).add(trigger.pattern, run)
                case Every():
                    self.beats.append((run, trigger.period))
                case StreamDeclaration():
                    followers.setdefault(trigger.name, []).append(run)
        for declaration in app.streams.values():
            stored = self.outbox.load(f"stream:{declaration.name}")
            stream = StreamRun(declaration, followers.get(declaration.name, []), stored)
            self.streams[declaration.name] = stream
            self._topics.add(declaration.trigger.pattern, (stream, declaration.trigger.time))

    # -- the door

    def message(self, message: Message) -> Ticket | None:
        """Run what listens to a topic; None means taken, with nothing to wait for.

        Most events meet one plain function and leave actions alone: for them nothing is made in advance.
        """
        plain = self._lane.get(message.topic)
        if plain is None:
            return self._several(message)
        try:
            payload = plain.decode(message.payload)
        except Exception:  # noqa: BLE001 (told in full by the longer way)
            return self._several(message)
        self.events += 1
        figures, clock = plain.figures, self._clock
        figures.calls += 1
        call = Call(self, message)
        begun = clock()
        token = enter(call)
        try:
            result = plain.call(payload)
        except Exception as error:  # noqa: BLE001 (a user's function may raise anything; it is counted and told)
            leave(token)
            return self._plain_failed(plain, call, error, begun)
        leave(token)
        ended = clock()
        if call.actions:
            publish = self.router.publish
            for topic, body, qos, retain in call.actions:
                publish(topic, body, qos, retain=retain)
                self.actions += 1
        if figures.record(message.read_at, begun, ended):
            return self._plain_more(plain, call, result, begun, ended, keep=True)
        if result is not None or call.forwards is not None:
            return self._plain_more(plain, call, result, begun, ended, keep=False)
        return None

    def request(self, request: Request) -> Ticket:
        """Run the one function that serves a route."""
        segments = path_segments(request.path)
        if segments is None:
            return refused("invalid", "the path hides one of / + # NUL, or is not UTF-8")
        method = "GET" if request.method == "HEAD" else request.method
        routes = self._paths.get(method)
        matches = routes.match(segments) if routes is not None else []
        if not matches:
            return self._no_route(segments)
        self.events += 1
        work = Work(self, request.path, request.body, request.sender, request.read_at)
        work.traceparent = request.headers.get("traceparent")
        bound = matches[0].target.bind(matches[0].captures, request.query)
        ticket = self._begin(work, Listeners([(bound, None)], []), waits=True, wants_reply=True)
        return ticket if ticket is not None else replied(Reply(status=204))

    def beat(self, run: FunctionRun) -> None:
        """Run a function that runs at a steady beat."""
        work = Work(self, run.name, b"", NODE, self._clock())
        self._begin(work, Listeners([(run.bind({}), None)], []), waits=False, wants_reply=False)

    # -- what work needs

    def wall(self) -> int:
        """Return the wall clock, ns since the epoch."""
        return self.clocks.wall()

    def wall_of(self, monotonic: int) -> int:
        """Return the wall clock at a monotonic time, ns."""
        return monotonic + self._offset

    def follow_wall_clock(self) -> None:
        """Take over what happened to the wall clock; the node calls this once a second."""
        self._offset = self.clocks.wall() - self._clock()

    def event_id(self) -> str:
        """Return an id that no other event has."""
        self._event_count += 1
        return f"{self.tracing.boot}-{self._event_count:x}"

    # -- a message's way

    def _listeners(self, topic: str) -> Listeners:
        if len(self._cache) >= TOPICS_CACHED:
            self._cache.clear()
            self._lane.clear()
        listeners = Listeners([], [])
        for match in self._topics.match(topic.split("/")):
            run, time_field = match.target
            if isinstance(run, StreamRun):
                listeners.streams.append((run, match.captures))
            else:
                listeners.bounds.append((run.bind(match.captures), time_field))
        if len(listeners.bounds) == 1 and not listeners.streams:
            bound, time_field = listeners.bounds[0]
            if time_field is None and bound.is_plain:
                self._lane[topic] = Plain.of(bound)
        self._cache[topic] = listeners
        return listeners

    def _several(self, message: Message) -> Ticket | None:
        """Run what is more than one plain function, goes wrong before it runs, or is not known yet."""
        listeners = self._cache.get(message.topic) or self._listeners(message.topic)
        if not listeners.bounds and not listeners.streams:
            return None
        self.events += 1
        waits = message.qos > 0
        return self._begin(
            self.work_of(message), listeners, waits=waits, wants_reply=message.response_topic is not None
        )

    def _plain_failed(self, plain: Plain, call: Call, error: Exception, begun: int) -> Ticket | None:
        """End a plain call that raised."""
        work = call.work()
        failed(self.tracing, plain.bound.run, work, error, (begun, self._clock()))
        return self.end(work)

    def _plain_more(
        self, plain: Plain, call: Call, result: Any, begun: int, ended: int, *, keep: bool
    ) -> Ticket | None:
        """End a plain call that leaves more than actions: facts, a reply or a trace."""
        work = call.work()
        figures = work.figures = plain.figures
        if keep:
            over = ended - work.read_at > figures.limit
            self.tracing.note(work, plain.bound.run.name, begun, ended, over=over)
        if call.forwards is not None:
            work.tx.forwards += call.forwards
            self.counters["forwards"] += len(call.forwards)
        work.actions = len(call.actions)
        if result is not None and (call.message is None or call.message.response_topic is None):
            self.counters["replies_dropped"] += 1
        else:
            work.result = result
        return self.end(work)

    def work_of(self, message: Message) -> Work:
        """Return the work that a message is, made when a call needs it."""
        work = Work(self, message.topic, message.payload, message.sender, message.read_at)
        work.traceparent = message.traceparent
        return work

    def _begin(self, work: Work, listeners: Listeners, *, waits: bool, wants_reply: bool) -> Ticket | None:
        def begin() -> Ticket | None:
            return self._begin(work, listeners, waits=waits, wants_reply=wants_reply)

        for bound, _ in listeners.bounds:
            for slot in bound.slots:
                cell = slot.cells.cell(slot.key)
                if cell.held:
                    return self._wait_for(cell, work, lambda ticket: self._again(ticket, begin))
        for bound, time_field in listeners.bounds:
            self.run(bound, time_field, work)
        for stream, captures in listeners.streams:
            self.feeder.feed(stream, captures, work, waits=waits)
        if work.result is not None and not wants_reply:
            self.counters["replies_dropped"] += 1
            work.result = None
        if work.pending:
            work.ticket = work.ticket or Ticket()
            return work.ticket
        return self.end(work)

    def _wait_for(self, cell: Cell, work: Work, again: Callable[[Ticket], None]) -> Ticket:
        """Queue a message for a cell that an async call holds."""
        ticket = work.ticket = work.ticket or Ticket()
        if len(cell.waiting) >= MAX_WAITING:
            ticket.finish(Refusal("busy", f"{MAX_WAITING} messages wait for this key"))
        else:
            cell.waiting.append(lambda: again(ticket))
        return ticket

    @staticmethod
    def _again(ticket: Ticket, begin: Callable[[], Ticket | None]) -> None:
        """Begin a message that had to wait; it may have to wait again."""
        if begin() is None:
            ticket.finish()

    def run(self, bound: Bound, time_field: str | None, work: Work, given: Any = None) -> None:
        """Run one function on a message, or on a stream's value."""
        run = bound.run
        figures = work.figures = run.figures
        figures.calls += 1
        payload = given
        try:
            if bound.problem is not None:
                bad_payload(self.tracing, run, work, bound.problem, self._clock())
                return
            if run.decode is not None and given is None:
                payload = decode(run.decode, work.payload)
                if time_field is not None:
                    check_time(payload, time_field)
                    work.event, work.time_field = payload, time_field
        except BadPayloadError as error:
            bad_payload(self.tracing, run, work, str(error), self._clock())
            return
        held = Held(bound) if bound.slots else None
        event = self._event(work) if bound.event_at >= 0 else None
        arguments = fill(bound, payload, event, held)
        call = Call(self, None, work)
        if run.is_async:
            self.waiting.run(bound, arguments, call, held, work)
            return
        begun = self._clock()
        token = current.set(call)
        try:
            result = run.call(*arguments)
        except Exception as error:  # noqa: BLE001 (a user's function may raise anything; it is counted and told)
            current.reset(token)
            failed(self.tracing, run, work, error, (begun, self._clock()))
            return
        current.reset(token)
        self.succeeded(bound, call, held, work, result)
        self.measure(run, work, begun, self._clock())

    def measure(self, run: FunctionRun, work: Work, begun: int, ended: int) -> None:
        figures = run.figures
        if figures.record(work.read_at, begun, ended) or work.error is not None:
            over = ended - work.read_at > figures.limit
            self.tracing.note(work, run.name, begun, ended, over=over)

    def succeeded(self, bound: Bound, call: Call, held: Held | None, work: Work, result: Any) -> None:
        if held is not None:
            for slot, cell, handle in zip(bound.slots, held.cells, held.handles, strict=True):
                value = handle.changed()
                if value is None:
                    continue
                undo: list[Callable[[], None]] = []
                put = slot.cells.commit(slot.key, cell, value, undo)
                if put is not None:
                    work.tx.puts.append(put)
                    work.tx.undo += undo
        if call.forwards:
            work.tx.forwards += call.forwards
            self.counters["forwards"] += len(call.forwards)
        if call.actions:
            self._act(call.actions)
            work.actions += len(call.actions)
        if result is not None:
            work.result = result

    def _act(self, actions: list[Action]) -> None:
        publish = self.router.publish
        for topic, payload, qos, retain in actions:
            publish(topic, payload, qos, retain=retain)
        self.actions += len(actions)

    # -- the end

    def end(self, work: Work) -> Ticket | None:
        """Commit what is durable and answer when it is; None if there is nothing to wait for or to say."""
        if work.durable:
            ticket = work.ticket = work.ticket or Ticket()
            appended = self._clock()
            try:
                self.outbox.append(work.tx, lambda error: self._committed(work, appended, error))
            except RimwardError as error:
                work.undo()
                work.refuse("full", str(error))
                self._answer(work)
            return ticket
        if work.stages is not None:
            self.tracing.keep(work)
        if work.refusal is None and work.result is None:
            return None
        ticket = work.ticket = work.ticket or Ticket()
        self._answer(work)
        return ticket

    def _committed(self, work: Work, appended: int, error: RimwardError | None) -> None:
        if error is not None:
            work.refuse("full", str(error))
        else:
            self.tracing.committed(work, appended, self._clock())
        if work.stages is not None:
            self.tracing.keep(work)
        self._answer(work)

    def _answer(self, work: Work) -> None:
        ticket = work.ticket
        assert ticket is not None
        if work.refusal is None and work.result is not None:
            ticket.reply = encode_reply(work.result)
        ticket.finish(work.refusal)

    def _event(self, work: Work) -> Event:
        origin = work.origin()
        return Event(
            id=origin.event,
            source=f"//{self.node}",
            type="message",
            subject=work.source,
            time=origin.received if origin.time is None else origin.time,
            received_at=origin.received,
            sender=work.sender.id,
            protocol=work.protocol,
            traceparent=work.traceparent,
        )

    def _no_route(self, segments: list[str]) -> Ticket:
        allowed = sorted(method for method, routes in self._paths.items() if routes.match(segments))
        if not allowed:
            return refused("not-found", "no function serves this path", matched=False)
        allow = ", ".join([*allowed, "HEAD"] if "GET" in allowed else allowed)
        return replied(Reply(status=405, headers={"allow": allow}))
