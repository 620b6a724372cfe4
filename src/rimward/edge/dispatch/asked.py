"""The fast lane of requests: one plain function that replies, and nothing in the request but its body.

Everything else, and what goes wrong before the function has run, takes the longer way (`Dispatcher.request`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from weakref import WeakSet
from zlib import crc32

import msgspec
from msgspec import Struct

from rimward.app import Reply as Wanted
from rimward.app.effects import Action, current
from rimward.edge.dispatch.board import Allowed
from rimward.edge.dispatch.call import forward_of
from rimward.edge.dispatch.carried import wants_structured
from rimward.edge.dispatch.dispatcher import Dispatcher
from rimward.edge.dispatch.encodings import agree
from rimward.edge.dispatch.failures import replied
from rimward.edge.dispatch.functions import SAMPLE_ONE_IN, Bound, FunctionRun, Plain, Span, plain_of
from rimward.edge.dispatch.payloads import BadPayloadError, Decode
from rimward.edge.dispatch.releasing import take_reply
from rimward.edge.dispatch.routes import path_segments
from rimward.edge.dispatch.types import Ask, Reply, Sender, Ticket
from rimward.edge.dispatch.work import Work
from rimward.edge.slot import EVENT, FUNCTION, START
from rimward.edge.stopping import Stopped
from rimward.events import CloudEvent
from rimward.events.cloudevents import is_structured

ASKED_CACHED = 4096  # requests whose function is remembered; beyond it the memory starts anew
_current, _enter, _leave = current.get, current.set, current.reset
_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_PLAIN_TYPES = frozenset({bool, dict, float, int, list})  # written as JSON, as a Struct is

Key = tuple[str, str, str, str | None, str | None]
Outcome = tuple[Any, BaseException | None, list[Action]]  # of a call: its result, what it raised, its actions


class PlainRequest(Plain):
    """A function that one path, query, content type and Accept meet, and that needs nothing but the body."""

    __slots__ = ("__weakref__", "content_type", "path", "read", "returns")

    def __init__(self, bound: Bound, decode: Decode, path: str, content_type: str | None) -> None:
        """`decode` is for the content type."""
        plain = plain_of(bound, path)
        super().__init__(bound, decode, plain.call, path)
        self.read: Decode = decode  # as `decode`, while calls run on the loop
        self.path: str = path
        self.content_type: str | None = content_type
        self.returns: Any = _written_at_once(bound.run.function.plan.returns)


class Asked:
    """Runs plain requests."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._known: dict[Key, Ask | None] = {}
        self._clock = dispatcher.clocks.monotonic
        self._span = dispatcher.tracing.ring.add
        self._lanes: WeakSet[PlainRequest] = WeakSet()  # gateways keep what they were given
        dispatcher.on_place.append(self._forget)
        dispatcher.on_turn.append(self._turn)

    def known(
        self, method: str, path: str, query: str, content_type: str | None, accept: str | None
    ) -> Ask | None:
        """Return what runs such requests; None where they take the longer way."""
        key = (method, path, query, content_type, accept)
        if key in self._known:
            return self._known[key]
        if len(self._known) >= ASKED_CACHED:
            self._known.clear()
        found = self._known[key] = self._find(key)
        return found

    def ask(self, plain: PlainRequest, body: bytes, sender: Sender, read_at: int) -> bytes | Ticket | None:
        """Run a function; return its value as JSON, None where it has none, or a ticket that says more.

        Raises:
            BadPayloadError: the body is not of its type, and nothing has been run or counted.
        """
        try:
            value = plain.decode(body)
        except Exception:  # noqa: BLE001 (told in full by the longer way)
            raise BadPayloadError("the body is not of its type") from None
        dispatcher, clock = self._dispatcher, self._clock
        call, figures = dispatcher.lane_call, plain.figures
        figures.alone = number = figures.alone + 1
        token = None if _current() is call else _enter(call)
        actions: list[Action] = []
        call.actions = actions
        begun, words = clock(), dispatcher.words
        result: Any = None
        error: BaseException | None = None
        written: bytes | None = None
        words[EVENT] = crc32(body, plain.seed)
        words[FUNCTION] = plain.number
        words[START] = begun
        try:
            result = plain.call(value)
        except Exception as raised:  # noqa: BLE001 (a user's function may raise anything; it is counted and told)
            error = raised
        except Stopped as stopped:
            error = stopped.settle()
        words[START] = 0
        if type(result) is plain.returns:
            try:
                written = _encode(result)
            except Exception:  # noqa: BLE001 (told in full at the call's end)
                written = None
        ended = clock()
        call.actions = None
        if token is not None:
            _leave(token)
        if (
            error is None
            and ended < figures.sample_at
            and ended - read_at <= figures.limit
            and number % SAMPLE_ONE_IN
            and call.rows is None
            and (written is not None or result is None)
        ):
            if actions:
                dispatcher.actions += len(actions)
                dispatcher.router.publish_all(actions)
            span: Span = (plain.name, read_at, begun, ended)
            self._span(span)
            figures.take(span)
            return written
        work = Work(dispatcher, plain.path, body, sender, read_at)
        return self._end(plain, work, (result, error, actions), (begun, ended))

    def _end(self, plain: PlainRequest, work: Work, outcome: Outcome, times: tuple[int, int]) -> Ticket:
        """End a call that leaves more than a value: facts, another kind of reply, a trace or an error."""
        dispatcher, run = self._dispatcher, plain.bound.run
        result, error, actions = outcome
        rows = dispatcher.lane_call.end()
        work.figures = plain.figures
        work.content_type, work.encoding = plain.content_type, "json"
        work.wants_reply, work.detached = True, not run.durable
        if error is None:
            try:
                take_reply(
                    dispatcher.counters, work, result
                )  # first: one that can't be written leaves nothing else
            except Exception as raised:  # noqa: BLE001 (a value that can't be written)
                error = raised
        if error is not None:
            dispatcher.failing(plain.bound, work, error, times)
        else:
            if rows:
                origin = work.origin()
                work.tx.forwards += [forward_of(fact, values, origin) for fact, values in rows]
                dispatcher.counters["forwards"] += len(rows)
            if actions:
                dispatcher.router.publish_all(actions)
                dispatcher.actions += len(actions)
                work.actions = len(actions)
            dispatcher.measure(run, work, *times)
        return dispatcher.end(work) or replied(Reply(status=204))

    def _find(self, key: Key) -> Ask | None:
        method, path, query, content_type, accept = key
        segments = path_segments(path)
        if segments is None or is_structured(content_type) or wants_structured(accept):
            return None
        match = self._dispatcher.board.serve("http", method, segments)
        if isinstance(match, Allowed):
            return None
        run, bound = match.target, match.target.bind(match.captures, query)
        if not _is_plain(bound) or agree(accept, content_type, run.offers) != "json":
            return None
        try:
            decode = _nothing if run.decode is None else run.decoder(content_type)
        except BadPayloadError:
            return None
        plain = PlainRequest(bound, decode, path, content_type)
        self._lanes.add(plain)
        return partial(self.ask, plain)

    def _turn(self) -> None:
        """Send all requests the longer way, and then to another version of the app."""
        self._known.clear()
        for plain in self._lanes:
            plain.decode = _elsewhere
        self._lanes.clear()

    def _forget(self, run: FunctionRun) -> None:
        """Send the requests of a function the longer way, unless it runs on the loop."""
        self._known.clear()
        for plain in self._lanes:
            if plain.bound.run is run:
                plain.decode = plain.read if run.runs == "inline" else _elsewhere


def _is_plain(bound: Bound) -> bool:
    """Tell whether a call needs nothing but the captures, the query and the body."""
    run = bound.run
    if (
        run.runs != "inline"
        or run.is_async
        or run.killers
        or run.streams
        or run.check is not None
        or bound.problem is not None
    ):
        return False
    return not bound.slots and bound.event_at < 0 and bound.device_at < 0


def _nothing(body: bytes) -> None:
    """Decode the body of a request to a function that takes none."""


def _elsewhere(_: bytes) -> NoReturn:
    """Decode nothing: the longer way does, for a function that does not run here."""
    raise BadPayloadError("the function runs elsewhere")


def _written_at_once(returns: Any) -> Any:
    """Return the type whose values are written as JSON and nothing else; `_Never` where there is none."""
    if not isinstance(returns, type):
        return _Never
    if returns in _PLAIN_TYPES:
        return returns
    special = issubclass(returns, CloudEvent | Wanted | Reply)
    return returns if issubclass(returns, Struct) and not special else _Never


class _Never:
    """No value is of this type."""
