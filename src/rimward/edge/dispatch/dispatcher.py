"""Dispatch: a message comes in, its functions run in the same tick, and one answer goes out.

One message is one transaction (GUARANTEES §1): forwards, durable state and dead letters of all its
functions are committed together, and the answer waits for that; a message with nothing durable waits for
nothing. Actions leave when their call returns.
"""

from collections.abc import Callable
from typing import Any
from zlib import crc32

from msgspec import Struct

from rimward.app import App
from rimward.app.effects import Action, current
from rimward.app.manifest import FactSpec
from rimward.edge.cells import STATES, StatesConfig
from rimward.edge.dispatch.away import Away
from rimward.edge.dispatch.board import WS, Allowed
from rimward.edge.dispatch.call import Call, LaneCall
from rimward.edge.dispatch.calling import call, failing
from rimward.edge.dispatch.carried import carry_message, carry_request, refuse, wants_structured
from rimward.edge.dispatch.closing import Closing
from rimward.edge.dispatch.commands import Commands
from rimward.edge.dispatch.encodings import OBJECTS, agree, encoding_of, media_types
from rimward.edge.dispatch.failures import bad_payload, check_time, no_route, refused, replied
from rimward.edge.dispatch.farlane import send
from rimward.edge.dispatch.feeding import Feeder
from rimward.edge.dispatch.firing import Firing
from rimward.edge.dispatch.following import watch
from rimward.edge.dispatch.functions import SAMPLE_ONE_IN, Bound, FunctionRun, Held, Runs, Span
from rimward.edge.dispatch.keys import STREAMS, StreamsConfig
from rimward.edge.dispatch.lane import end_plain, land
from rimward.edge.dispatch.modes import Modes
from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.ports import NODE, Clocks, Conduct, Ear, Listeners, OutboxPort, Unwatched, Workers
from rimward.edge.dispatch.pouring import socket_of
from rimward.edge.dispatch.releasing import release
from rimward.edge.dispatch.routes import Match, path_segments
from rimward.edge.dispatch.several import held_cell, run_all
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.types import Message, Reply, Request, Router, Sender, Socket, Ticket
from rimward.edge.dispatch.version import Site, Version
from rimward.edge.dispatch.versioned import Versioned
from rimward.edge.dispatch.waiting import Waiting, queue
from rimward.edge.dispatch.watching import Watching
from rimward.edge.dispatch.work import Work
from rimward.edge.outbox import Transaction
from rimward.edge.slot import EVENT, FUNCTION, START, Slot
from rimward.edge.stopping import Stopped

_current, _enter, _leave = current.get, current.set, current.reset


class Dispatcher(Versioned):
    """The `Door` of a node: routes messages to functions and their effects to where they belong."""

    def __init__(  # noqa: PLR0913 (what a node has, each by its name)
        self,
        app: App,
        node: str,
        clocks: Clocks,
        outbox: OutboxPort,
        tracing: Tracing,
        *,
        settings: Struct | None = None,
        streams: StreamsConfig = STREAMS,
        states: StatesConfig = STATES,
    ) -> None:
        """`settings` are of the type that the app names as its `config`."""
        self.node = node
        self.clocks = clocks
        self.tracing = tracing
        self.admit: Callable[[FactSpec, int, tuple[object, ...]], None] = outbox.admit
        self.router: Router  # set by the node before any gateway listens
        self.ear: Ear | None = None  # of a recording that is on
        self.actions: int = 0
        self.counters: dict[str, int] = {"forwards": 0, "replies_dropped": 0}
        self.outbox = outbox
        self._clock = clocks.monotonic
        self.watching: Watching = Watching()
        self.end: Callable[[Work], Ticket | None] = Closing(
            outbox, tracing, self.counters, self._clock, self.watching
        ).end
        self._offset = clocks.wall() - clocks.monotonic()
        self._event_count = self._events = 0  # the latter without those of the fast lane
        self.waiting: Waiting = Waiting(self, clocks.monotonic)
        self.commands: Commands = Commands(lambda: self.router, tracing.boot, self.counters)
        self.site: Site = Site(outbox, clocks.wall, clocks.monotonic, tracing.boot, streams, states)
        super().__init__(Version(app, settings, self.site))
        self.lane_call: LaneCall = LaneCall(self)
        self.words: memoryview = Slot().words  # a node that is watched puts a file's here
        self.conduct: Conduct = Unwatched()
        self.modes: Modes = Modes(self.counters)
        self._span = tracing.ring.add
        self.firing: Firing = Firing(self)
        self.beats: list[tuple[FunctionRun, float]] = self.firing.beats
        self.admit_timer: Callable[[str, str], None] = self.firing.timers.admit
        self.feeder: Feeder = Feeder(self)
        self.away: Away | None = None  # made by `employ`; without one all calls run on the loop
        self.on_place: list[Callable[[FunctionRun], None]] = []  # told who has moved

    # -- the door

    def message(self, message: Message) -> Ticket | None:
        """Run what listens to a topic; None means taken, with nothing to wait for."""
        if message.content_type is not None or message.commits is not None:
            return self._several(message)
        topic, payload, qos = message.topic, message.payload, message.qos
        return self.plain(topic, payload, qos, message.sender, message.read_at, message)

    def plain(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        sender: Sender,
        read_at: int,
        message: Message | None = None,
    ) -> Ticket | None:
        """Run what listens to a topic on a message of which `message`, if there is one, has the rest.

        Most events meet one plain function and leave actions alone: for them nothing is made.
        """
        plain = self._lane.get(topic)
        if plain is None:
            return self._several(message or Message(topic, payload, qos, sender, read_at))
        try:
            value = plain.decode(payload)
        except Exception:  # noqa: BLE001 (told in full by the longer way)
            return self._several(message or Message(topic, payload, qos, sender, read_at))
        call, figures, clock = self.lane_call, plain.figures, self._clock
        figures.alone = number = figures.alone + 1
        token = None if _current() is call else _enter(call)
        actions: list[Action] = []
        call.actions = actions
        error: BaseException | None = None
        words = self.words
        words[EVENT] = crc32(payload, plain.seed)
        words[FUNCTION] = plain.number
        words[START] = begun = clock()
        try:
            result = plain.call(value)
        except Exception as raised:  # noqa: BLE001 (a user's function may raise anything; it is counted and told)
            result, error = None, raised
        except Stopped as stopped:
            result, error = None, stopped.settle()
        words[START] = 0
        ended = clock()
        call.actions = None
        if token is not None:
            _leave(token)
        if error is None:
            if actions:
                self.actions += len(actions)
                self.router.publish_all(actions)
            span: Span = (plain.name, read_at, begun, ended)
            self._span(span)
            figures.take(span)
            if (
                ended < figures.sample_at
                and ended - read_at <= figures.limit
                and number % SAMPLE_ONE_IN
                and result is None
            ):
                receipt = None
                if call.rows is None or (message is None and (receipt := land(self, plain, read_at, ended))):
                    return receipt
        work = self.work_of(message or Message(topic, payload, qos, sender, read_at))
        return end_plain(self, plain, work, (result, error, len(actions)), (begun, ended))

    def request(self, request: Request) -> Ticket:  # noqa: PLR0911 (one way out for each answer)
        """Run the one function that serves a route."""
        if self.ear is not None and self.ear.listens:
            return self.ear.request(request)
        segments = path_segments(request.path)
        if segments is None:
            return refused("invalid", "the path hides one of / + # NUL, starts with $, or is not UTF-8")
        match = self.board.serve(request.sender.protocol, request.method, segments)
        if isinstance(match, Allowed):
            return no_route(match)
        run, headers = match.target, request.headers
        if run.check is not None and (why := run.check(headers, request.raw or request.body)) is not None:
            self.counters["signatures_refused"] = self.counters.get("signatures_refused", 0) + 1
            return refused("denied", why)
        work = Work(self, request.path, request.body, request.sender, request.read_at)
        work.traceparent = headers.get("traceparent")
        work.content_type = headers.get("content-type")
        work.headers = headers
        work.detached = not run.durable
        work.commits = request.commits
        listeners = Listeners([(run.bind(match.captures, request.query), None)], [])
        try:
            carry_request(request, work)
        except BadPayloadError as error:
            ticket = self._refuse(work, listeners, error)
            assert ticket is not None
            return ticket
        encoding = agree(headers.get("accept"), work.content_type, run.offers)
        if encoding is None:
            offers = media_types(run.offers or OBJECTS)
            return refused("not-acceptable", f"the reply can be written as {offers}")
        work.encoding, work.structured = encoding, wants_structured(headers.get("accept"))
        work.wants_reply = True
        self._events += 1
        ticket = self._begin(work, listeners, waits=True)
        return ticket if ticket is not None else replied(Reply(status=204))

    def socket(self, path: str) -> Socket | None:
        """Return what a WebSocket at this path meets; None where no function takes its messages."""
        segments = path_segments(path)
        match = None if segments is None else self.board.serve("ws", WS, segments)
        return socket_of(match) if isinstance(match, Match) else None

    def priority_of(self, protocol: str, method: str, path: str) -> str:
        """Return the class of a request, as the version that runs has it."""
        return self.board.priority_of(protocol, method, path)

    def watch(self, request: Request, changed: Callable[[], None]) -> Callable[[], None] | None:
        """Call `changed` after each change of what a request's function reads; return what ends it."""
        return watch(self, request, changed)

    def start(self, bound: Bound, work: Work) -> Ticket | None:
        """Run a function on a work that no message is."""
        return self._begin(work, Listeners([(bound, None)], []), waits=False)

    def beat(self, run: FunctionRun) -> None:
        """Run a function that runs at a steady beat."""
        if self.ear is not None and self.ear.listens:
            self.ear.beat(run)
        else:
            self.start(run.bind({}), Work(self, run.name, b"", NODE, self._clock()))

    def employ(self, workers: Workers) -> None:
        """Have the calls that do not run on the loop run by workers."""
        self.away = Away(self, workers, self._clock)

    def place(self, name: str, where: Runs) -> None:
        """Have a function's calls run elsewhere from the next one on; those that run end where they are."""
        run = self.functions[name]
        run.runs = where
        self.board.forget(run)
        for forget in self.on_place:
            forget(run)

    def expire(self) -> None:
        """Forget cells whose time is over; the node calls this once a second."""
        transaction = Transaction()
        for cells in self.cells.values():
            transaction.puts += cells.expire(self.watching.tell)
        if transaction.puts:
            self.outbox.append(transaction, None)

    @property
    def events(self) -> int:
        """How many messages and requests found what they run."""
        return self._events + sum(run.figures.alone for run in self.functions.values())

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

    def _several(self, message: Message) -> Ticket | None:
        """Run what is more than one plain function, goes wrong before it runs, or is not known yet."""
        if (
            (far := self.board.far.get(message.topic)) is not None
            and self.away is not None
            and message.content_type is None
            and message.commits is None
            and not message.attributes
            and (ticket := send(self.away, far, message)) is not None
        ):
            return ticket
        listeners = self.board.listeners(message.topic)
        if listeners.answers:
            self.commands.answered(message)
        if not listeners.bounds and not listeners.streams and message.commits is None:
            return None
        work = self.work_of(message)
        work.commits = message.commits
        try:
            carry_message(message, work)
        except BadPayloadError as error:
            return self._refuse(work, listeners, error)
        self._events += 1
        return self._begin(work, listeners, waits=message.qos > 0)

    def _refuse(self, work: Work, listeners: Listeners, error: BadPayloadError) -> Ticket | None:
        """Refuse a message before any function has seen it."""
        self._events += 1
        refuse(self.tracing, listeners, work, error, self._clock())
        return self.end(work)

    def work_of(self, message: Message) -> Work:
        """Return the work that a message is, made when a call needs it."""
        work = Work(self, message.topic, message.payload, message.sender, message.read_at)
        work.traceparent = message.traceparent
        work.content_type = message.content_type
        work.wants_reply = message.response_topic is not None
        if work.wants_reply:
            work.encoding = encoding_of(message.content_type) or "json"
        return work

    def _begin(self, work: Work, listeners: Listeners, *, waits: bool) -> Ticket | None:
        version = self.version

        def begin() -> Ticket | None:
            now = listeners if self.version is version else self.version.listeners(listeners)
            return self._begin(work, now, waits=waits)

        if (ticket := self.modes.wait(listeners.bounds, work, begin)) is not None:
            return ticket
        for bound, _ in listeners.bounds:
            if (cell := held_cell(bound)) is not None:
                return queue(cell, work, begin)
        run_all(self, work, listeners, waits=waits)
        if work.pending:
            work.ticket = work.ticket or Ticket()
            return work.ticket
        return self.end(work)

    def run(self, bound: Bound, time_field: str | None, work: Work, given: Any = None) -> None:
        """Run one function on a message, or on a stream's value."""
        run = bound.run
        figures = work.figures = run.figures
        figures.others += 1
        payload = given
        try:
            if bound.problem is not None:
                raise BadPayloadError(bound.problem)  # noqa: TRY301 (one way out)
            if run.decode is not None and given is None:
                payload = run.decoded(work.data, work.content_type)
                if time_field is not None:
                    check_time(payload, time_field)
                    work.event, work.time_field = payload, time_field
        except BadPayloadError as bad:
            bad_payload(self.tracing, run, work, bad, self._clock())
            return
        call(self, bound, payload, work, given)

    def failing(
        self, bound: Bound, work: Work, error: BaseException, times: tuple[int, int], given: Any = None
    ) -> None:
        failing(self, bound, work, error, times, given)

    def measure(self, run: FunctionRun, work: Work, begun: int, ended: int) -> None:
        figures = run.figures
        span = (run.name, work.read_at, begun, ended)
        figures.take(span)
        if figures.keeps(work.read_at, ended) or work.error is not None:
            over = ended - work.read_at > figures.limit
            self.tracing.note(work, run.name, begun, ended, over=over)
        if ended - begun > figures.limit:
            self.conduct.overran(run.name)
        self._span(span)

    def succeeded(self, bound: Bound, call: Call, held: Held | None, work: Work, result: Any) -> None:
        release(self, bound, call, held, work, result)
