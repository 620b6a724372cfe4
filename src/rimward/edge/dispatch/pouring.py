"""Streams of replies: an async iterator that a function returned, its values encoded one at a time.

The function's call has ended when the first value is asked for: its effects have left. What runs later reads
and yields; it has no effects of its own, for there is no message left whose transaction they could join.
"""

from collections.abc import AsyncIterator
from typing import Any, NoReturn, Protocol, cast

from msgspec import Struct

from rimward.app import Update
from rimward.app.effects import Action, TimerAsk, current
from rimward.app.triggers import Ws
from rimward.edge.dispatch.encodings import Encoding, encode_reply
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.routes import Match
from rimward.edge.dispatch.types import Piece, PourError, Refusal, Reply, Socket
from rimward.edge.dispatch.work import Work
from rimward.events import CloudEvent, Reject
from rimward.events.cloudevents import to_structured
from rimward.events.raised import place_of
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.dispatch")


class Host(Protocol):
    """What a stream asks of the dispatcher."""

    counters: dict[str, int]

    def wall(self) -> int:
        """Return the wall clock, ns since the epoch."""
        ...


def pour(result: Any, run: FunctionRun, work: Work, host: Host) -> Reply:
    """Return a reply that is what a function's iterator yields."""
    if not hasattr(result, "__aiter__"):
        raise TypeError(f"{run.name} returned {type(result).__name__}, not an async iterator")
    encoding: Encoding = work.encoding if work.protocol == "ws" else "json"
    return Reply(stream=_Stream(result.__aiter__(), run, encoding, host))


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

    def __init__(self, values: AsyncIterator[Any], run: FunctionRun, encoding: Encoding, host: Host) -> None:
        self._values = values
        self._run = run
        self._encoding: Encoding = encoding
        self._host = host
        self._effects = _NoEffects(host)

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Piece:
        current.set(self._effects)  # of the task that iterates, and of nothing else
        try:
            value = await anext(self._values)
            piece = _piece(value, self._encoding)
        except StopAsyncIteration:
            raise
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
