"""Streams of replies: an async iterator that a function returned, its values encoded one at a time.

The function's call has ended when the first value is asked for: its effects have left. What runs later reads
and yields; it has no effects of its own, for there is no message left whose transaction they could join.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, NoReturn, Protocol, cast

from msgspec import Struct

from rimward.app import Update
from rimward.app.effects import Action, TimerAsk, current
from rimward.app.triggers import Ws
from rimward.edge.dispatch.encodings import Encoding, encode_reply
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.marking import Mark
from rimward.edge.dispatch.ports import Clocks, Conduct
from rimward.edge.dispatch.routes import Match
from rimward.edge.dispatch.types import Piece, PourError, Refusal, Reply, Socket
from rimward.edge.dispatch.work import Work
from rimward.edge.stopping import Stopped
from rimward.events import CloudEvent, Reject
from rimward.events.cloudevents import to_structured
from rimward.events.raised import place_of
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.dispatch")


class Host(Protocol):
    """What a stream asks of the dispatcher."""

    counters: dict[str, int]
    clocks: Clocks
    conduct: Conduct
    words: memoryview

    def wall(self) -> int:
        """Return the wall clock, ns since the epoch."""
        ...


def pour(result: Any, run: FunctionRun, work: Work, host: Host) -> Reply:
    """Return a reply that is what a function's iterator yields."""
    if not hasattr(result, "__aiter__"):
        raise TypeError(f"{run.name} returned {type(result).__name__}, not an async iterator")
    encoding: Encoding = work.encoding if work.protocol == "ws" else "json"
    mark = Mark(host.words, run, work)
    return Reply(stream=_Stream(result.__aiter__(), run, encoding, (host, mark)))


def socket_of(match: "Match[FunctionRun]") -> Socket:
    """Return what a WebSocket meets at a path that a function serves."""
    trigger = match.target.function.trigger
    assert isinstance(trigger, Ws)
    if trigger.topic is None:
        return Socket(None)
    captures = iter(trigger.topic.captures)
    segments = [
        match.captures[next(captures)] if literal is None else literal for literal in trigger.topic.segments
    ]
    if trigger.topic.tail is not None:
        segments.append(match.captures[trigger.topic.tail])
    return Socket("/".join(segments))


class _Stream:
    """Encodes values as they are asked for: who reads slowly makes the function wait."""

    def __init__(
        self, values: AsyncIterator[Any], run: FunctionRun, encoding: Encoding, ground: tuple[Host, Mark]
    ) -> None:
        host, self._mark = ground
        self._values = values
        self._run = run
        self._encoding: Encoding = encoding
        self._host = host
        self._effects = _NoEffects(host)

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Piece:
        current.set(self._effects)  # of the task that iterates, and of nothing else
        now = self._host.clocks.monotonic
        stretches = Stretches(anext(self._values), self._mark, now)
        try:
            value = await stretches
            piece = _piece(value, self._encoding)
        except StopAsyncIteration:
            raise
        except Stopped as stopped:
            stopped.settle()
            name, figures = self._run.name, self._run.figures
            figures.errors, figures.stopped = figures.errors + 1, figures.stopped + 1
            self._host.conduct.stopped(name, stopped.place, now() - stretches.begun)
            log.warning("a stream was stopped", function=name, at=stopped.place)
            raise PourError(Refusal("timeout", f"{name} was stopped")) from None
        except Reject as error:
            self._run.figures.errors += 1
            raise PourError(Refusal(error.kind, error.detail)) from None
        except Exception as error:  # a user's function may raise anything; it is counted and told
            self._run.figures.errors += 1
            name = type(error).__name__
            log.warning("a stream raised", function=self._run.name, error=name, at=place_of(error))
            raise PourError(Refusal("failed", f"{self._run.name} raised {name}")) from error
        counters = self._host.counters
        counters["streamed"] = counters.get("streamed", 0) + 1
        return piece

    async def aclose(self) -> None:
        """End the function's iterator, so that its `finally` runs."""
        close = getattr(self._values, "aclose", None)
        if close is not None:
            await close()


class Stretches:
    """An awaitable whose parts between waits are marked, each on its own, as user code."""

    def __init__(self, awaitable: Awaitable[Any], mark: Mark, clock: Callable[[], int]) -> None:
        """`clock` is monotonic ns."""
        self._awaitable = awaitable
        self._mark = mark
        self._clock = clock
        self.begun: int = 0  # of the last one

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self._awaitable.__await__()  # most often a coroutine's
        if not hasattr(steps, "throw"):
            return cast("Any", (yield from steps))  # a plain iterator: nothing of the user's runs in it
        value, error = None, None
        while True:
            self.begun = self._clock()
            self._mark.begin(self.begun)
            try:
                waited = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            finally:
                self._mark.end()
            value, error = None, None
            try:
                value = yield waited
            except BaseException as raised:  # noqa: BLE001 (a cancellation goes on into it, as await would)
                error = raised


def _piece(value: Any, encoding: Encoding) -> Piece:
    identity = name = None
    if isinstance(value, Update):
        update = cast("Update[Any]", value)
        identity, name, value = update.id, update.name, update.value
    if isinstance(value, CloudEvent):
        carried = to_structured(value)
        return Piece(carried.body, carried.content_type, identity or value.id, name)
    reply = encode_reply(value, encoding)
    return Piece(reply.body, reply.content_type, identity, name)


class _NoActions(list[Action]):
    """Refuses actions."""

    def append(self, action: Action, /) -> NoReturn:
        """Refuse one."""
        raise _no_effects(f"app.publish({action[0]!r})")


class _NoEffects:
    """Stands where a call's effects would be."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.actions: list[Action] = _NoActions()

    def forward(self, fact: Struct) -> None:
        """Refuse a fact."""
        raise _no_effects(f"app.forward({type(fact).__name__})")

    def now(self) -> int:
        """Return the node's wall clock, ns since the epoch."""
        return self._host.wall()

    def timer(self, asked: TimerAsk) -> None:
        """Refuse what is wanted of a timer."""
        raise _no_effects(f"state.after({asked.function})")


def _no_effects(what: str) -> RuntimeError:
    return RuntimeError(f"{what} in a stream of replies: its call has ended, and has left its effects")
