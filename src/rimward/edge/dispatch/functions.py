"""Functions made ready to run: parameters as fillers, decoders, and their figures."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal
from urllib.parse import parse_qs

from msgspec import Struct

from rimward.app.functions import EdgeFunction
from rimward.app.plan import Parameter, returns_something
from rimward.app.state import State, States
from rimward.edge.cells import Cell
from rimward.edge.dispatch.encodings import Encoding, offers_for, typed_decoder
from rimward.edge.dispatch.payloads import (
    BadPayloadError,
    Decode,
    capture_value,
    decode,
    decoder_for,
    query_value,
)
from rimward.edge.slot import digest
from rimward.edge.state import Cells
from rimward.events import Event
from rimward.observe import FunctionStats, Histogram
from rimward.observe.histogram import TABLE, TABLE_FROM, TABLE_TO

Check = Callable[[dict[str, str], bytes], str | None]
"""Returns why a request with these headers and this body, as it came, is not signed as it should be."""

Runs = Literal["inline", "process", "wasm"]
"""Where the calls of a function run: on the loop, or in a worker."""

SAMPLE_EVERY = 1_000_000_000  # ns between two samples of one function
SAMPLE_ONE_IN = 1024
NEVER = 1 << 62  # ns
PAYLOAD = object()  # stands where the payload goes
EVENT = object()  # stands where the event goes


Span = tuple[str, int, int, int]  # of a call: the function, then read, begun and ended, monotonic ns


class Figures:
    """What is counted of one function: exact, mergeable, and cheap.

    Calls are put down as spans and counted into the histograms many at a time, which halves their cost.
    """

    __slots__ = (
        "_counted",
        "_spans",
        "alone",
        "budget",
        "commit",
        "errors",
        "limit",
        "others",
        "sample_at",
        "stopped",
        "take",
    )

    def __init__(self, budget: float | None) -> None:
        self.budget: int | None = None if budget is None else round(budget * 1e9)  # ns
        self.alone: int = 0  # calls on the fast lane, each a message of its own
        self.others: int = 0  # all other calls
        self.errors: int = 0
        self.stopped: int = 0  # calls that were over their time; an error too where nothing fell back
        self.commit: Histogram = Histogram()
        self.limit: int = NEVER if self.budget is None else self.budget  # ns that a call may take in all
        self.sample_at: int = 0  # monotonic ns from which on the next ordinary event is kept
        self._counted = Counted()
        self._spans: list[Span] = []  # not counted yet; each 1,024th call counts them
        self.take: Callable[[Span], None] = self._spans.append  # count a call; the caller then asks `keeps`

    def aim(self, budget: float | None) -> None:
        """Take another budget, seconds, for the calls from now on."""
        self.count()
        self.budget = None if budget is None else round(budget * 1e9)
        self.limit = NEVER if self.budget is None else self.budget

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self.alone + self.others

    def keeps(self, read_at: int, ended: int) -> bool:
        """Return whether a call that was taken is kept, as `Tracing` says."""
        if ended - read_at > self.limit:
            return True
        if ended >= self.sample_at:
            self.sample_at = ended + SAMPLE_EVERY
            return True
        if self.calls % SAMPLE_ONE_IN == 0:
            return True
        if len(self._spans) >= SAMPLE_ONE_IN:
            self.count()
        return False

    def failed(self) -> None:
        """Count a call that raised, or could not be made."""
        self.errors += 1
        if len(self._spans) >= SAMPLE_ONE_IN:
            self.count()

    def count(self) -> "Counted":
        """Return what was counted of all spans."""
        if self._spans:
            self._counted.add(self._spans, self.limit)
            self._spans.clear()
        return self._counted

    def stats(self) -> FunctionStats:
        """Return the figures as they leave the process."""
        counted = self.count()
        return FunctionStats(
            calls=self.calls,
            errors=self.errors,
            overruns=counted.overruns,
            budget=None if self.budget is None else self.budget / 1e9,
            stages={
                "decode": counted.decode.sparse(),
                "function": counted.function.sparse(),
                "commit": self.commit.sparse(),
                "total": counted.total.sparse(),
            },
            stopped=self.stopped,
        )


class Counted:
    """The histograms of a function's stages."""

    __slots__ = ("decode", "function", "overruns", "total")

    def __init__(self) -> None:
        self.decode: Histogram = Histogram()
        self.function: Histogram = Histogram()
        self.total: Histogram = Histogram()
        self.overruns: int = 0

    def add(self, spans: list[Span], limit: int) -> None:
        """Count spans, and those that took more ns than the limit."""
        decodes, functions, totals = self.decode.counts, self.function.counts, self.total.counts
        for _, read_at, begun, ended in spans:
            decode, function, total = begun - read_at, ended - begun, ended - read_at
            if decode >= TABLE_FROM and function >= TABLE_FROM and total < TABLE_TO:
                decodes[TABLE[decode >> 4]] += 1
                functions[TABLE[function >> 4]] += 1
                totals[TABLE[total >> 4]] += 1
            else:
                self.decode.record(decode)
                self.function.record(function)
                self.total.record(total)
            if total > limit:
                self.overruns += 1


class StateSlot(Struct):
    """One state parameter of a function bound to a key."""

    index: int  # place among the arguments
    cells: Cells
    key: str


class Plain:
    """A function of one topic that needs nothing but the payload: the fast lane."""

    __slots__ = ("bound", "call", "decode", "figures", "name", "number", "seed")

    def __init__(self, bound: "Bound", decode: Decode, call: Callable[[Any], Any], source: str) -> None:
        """`call` takes what `decode` makes of the payload; `source` is the topic or path."""
        self.name: str = bound.run.name
        self.number: int = bound.run.number
        self.seed: int = digest(source, b"")
        self.bound: Bound = bound
        self.figures: Figures = bound.run.figures
        self.decode: Decode = decode
        self.call: Callable[[Any], Any] = call


class Bound(Struct):
    """A function with the captures of one topic or path filled in."""

    run: "FunctionRun"
    arguments: list[Any]  # with PAYLOAD, EVENT and None where a value comes with the message
    payload_at: int  # index of the payload among the arguments, or -1
    event_at: int
    slots: list[StateSlot]
    problem: str | None  # why the captures don't fit
    device_at: int = -1
    captures: tuple[str, ...] = ()  # their values: events of one lane have the same
    named: tuple[dict[str, str], str] = ({}, "")  # what it was bound with: captures by name, and the query

    @property
    def is_plain(self) -> bool:
        """Whether a call needs nothing but the captures and the payload, and has no reply."""
        return (
            self.run.is_plain
            and not self.run.killers
            and self.problem is None
            and not self.slots
            and self.event_at < 0
            and self.device_at < 0
        )

    def sent(self) -> list[Any]:
        """Return the arguments that captures and the query give, in their order."""
        return [self.arguments[at] for at in self.run.given_at]


class Far:
    """As `Plain`, of a function that runs elsewhere."""

    __slots__ = ("arguments", "bound", "decode", "figures", "key", "name")

    def __init__(self, bound: Bound) -> None:
        self.name: str = bound.run.name
        self.bound: Bound = bound
        self.figures: Figures = bound.run.figures
        self.decode: Decode | None = bound.run.decode
        self.arguments: list[Any] = bound.sent()
        self.key: str = key_of(self.arguments)  # empty: the sender is


def key_of(arguments: list[Any]) -> str:
    """Return what tells which worker a call goes to, by its captures and query; empty where it has none."""
    return str(arguments[0]) if arguments else ""


def plain_of(bound: Bound, source: str) -> Plain:
    """Return the lane of a function that `is_plain`, for one topic or path."""
    run, at = bound.run, bound.payload_at
    function, arguments = run.call, bound.arguments
    if run.decode is None:
        return Plain(bound, _nothing, lambda _: function(*arguments), source)
    if at == len(arguments) - 1:
        return Plain(bound, run.decode, partial(function, *arguments[:at]), source)
    before, after = arguments[:at], arguments[at + 1 :]
    return Plain(bound, run.decode, lambda payload: function(*before, payload, *after), source)


class FunctionRun:
    """One edge function, ready to run."""

    def __init__(
        self, function: EdgeFunction, cells: dict[type[Struct], Cells], settings: Struct | None = None
    ) -> None:
        """`settings` are the app's, for a parameter of the type of its `config`."""
        self.function = function
        self.name: str = function.name
        self.number: int = 0  # in the slot, from 1; set by the dispatcher
        self.killers: set[int] = set()  # digests of events that are not run any more
        self.fallback: Callable[..., Any] | None = (
            None if isinstance(function.on_overrun, str) else function.on_overrun
        )
        self.call: Callable[..., Any] = function.plan.function
        self.is_async: bool = function.plan.is_async
        self.durable: bool = function.durable
        self.timeout: float | None = function.timeout
        self.runs: Runs = (
            "inline" if function.run == "auto" else function.run
        )  # changed by `Dispatcher.place`
        self.takes_payload: bool = function.plan.payload is not None
        self.decode: Decode | None = decoder_for(function.plan.payload) if self.takes_payload else None
        self.offers: tuple[Encoding, ...] | None = offers_for(function.plan.returns)
        self.is_plain: bool = not self.is_async and self.durable and not returns_something(function.plan)
        self.streams: bool = function.plan.streams
        kinds = [parameter.kind for parameter in function.plan.parameters]
        self.given_at: list[int] = [at for at, kind in enumerate(kinds) if kind in {"capture", "query"}]
        self.check: Check | None = None  # of signed requests; set by the node, which has the secrets
        self.figures: Figures = Figures(function.budget)
        self.settings = settings
        self._cells = cells
        self._decoders: dict[str, Decode] = {}  # by encoding, made when one is met

    def decoded(self, payload: bytes, content_type: str | None) -> Any:
        """Decode a payload by its content type; bytes and text are taken as they are.

        Raises:
            BadPayloadError: it is not of the type, or its content type can't be read.
        """
        return decode(self.decoder(content_type), payload)

    def decoder(self, content_type: str | None) -> Decode:
        """Return how a payload of a content type is read.

        Raises:
            BadPayloadError: it can't be.
        """
        assert self.decode is not None
        type_ = self.function.plan.payload
        if content_type is None or type_ is bytes or type_ is str:
            return self.decode
        return typed_decoder(type_, content_type, self._decoders)

    def bind(self, captures: dict[str, str], query: str = "") -> Bound:
        """Fill in what the topic or path gives; a capture of the wrong form is kept for the answer."""
        bound = Bound(self, [], -1, -1, [], None, captures=tuple(captures.values()), named=(captures, query))
        values = parse_qs(query, keep_blank_values=True, max_num_fields=100) if query else {}
        for index, parameter in enumerate(self.function.plan.parameters):
            try:
                bound.arguments.append(self._argument(parameter, index, bound, captures, values))
            except BadPayloadError as error:
                bound.problem = bound.problem or str(error)
                bound.arguments.append(None)
        return bound

    def _argument(  # noqa: PLR0911 (one way out for each kind)
        self,
        parameter: Parameter,
        index: int,
        bound: Bound,
        captures: dict[str, str],
        query: dict[str, list[str]],
    ) -> Any:
        if parameter.kind == "capture":
            return capture_value(parameter.type, parameter.name, captures[parameter.name])
        if parameter.kind == "state":
            cells = self._cells[parameter.type]
            bound.slots.append(StateSlot(index, cells, captures[cells.type.key]))
            return None
        if parameter.kind == "event":
            bound.event_at = index
            return EVENT
        if parameter.kind == "device":
            bound.device_at = index
            return None
        if parameter.kind == "states":
            return States(self._cells[parameter.type].type, self._cells[parameter.type])
        if parameter.kind == "config":
            return self.settings
        if parameter.kind == "query":
            return _query(parameter, query)
        bound.payload_at = index
        return PAYLOAD


def _nothing(payload: bytes) -> None:
    """Decode the payload of a function that takes none."""


def _query(parameter: Parameter, query: dict[str, list[str]]) -> Any:
    found = query.get(parameter.name)
    if found is not None:
        return query_value(parameter.type, parameter.name, found[-1])
    if parameter.default is not inspect.Parameter.empty:
        return parameter.default
    raise BadPayloadError(f"the query parameter {parameter.name!r} is missing")


class Held:
    """The cells that one call works on."""

    __slots__ = ("cells", "handles")

    def __init__(self, bound: Bound) -> None:
        self.cells: list[Cell] = [slot.cells.cell(slot.key) for slot in bound.slots]
        self.handles: list[State[Any]] = [
            slot.cells.handle(slot.key, cell) for slot, cell in zip(bound.slots, self.cells, strict=True)
        ]


def fill(bound: Bound, payload: Any, event: Event | None, held: Held | None) -> list[Any]:
    """Return the arguments of one call."""
    arguments = bound.arguments.copy()
    if bound.payload_at >= 0:
        arguments[bound.payload_at] = payload
    if bound.event_at >= 0:
        arguments[bound.event_at] = event
    if held is not None:
        for slot, handle in zip(bound.slots, held.handles, strict=True):
            arguments[slot.index] = handle
    return arguments
