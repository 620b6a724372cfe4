"""Unit tests of plain functions: their effects caught, their state made by hand."""

import copy
import datetime as dt
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

from msgspec import Struct

from rimward.app import App, State
from rimward.app.effects import Action, EventPayload, TimerAsk, current
from rimward.app.state import StateType
from rimward.events import to_ns
from rimward.testing.payloads import read

S = TypeVar("S", bound=Struct)

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # the first moment of a test's clock


class Published(Struct, frozen=True):
    """One action."""

    topic: str
    payload: Any  # a CloudEvent as it is, JSON's value where it is JSON, else text, else bytes
    qos: int
    retain: bool


class Captured:
    """The effects of the functions that ran inside `effects()`, in order."""

    def __init__(self, app: App | None, now: dt.datetime) -> None:
        self.actions: list[Action] = []
        self.forwarded: list[Any] = []  # facts
        self.time = now  # what `app.now()` returns; set it to move the clock
        self.timers: list[TimerAsk] = []  # what was wanted of timers
        self._app = app

    @property
    def published(self) -> list[Published]:
        """The actions."""
        return [Published(topic, _read(payload), qos, retain) for topic, payload, qos, retain in self.actions]

    def forward(self, fact: Struct) -> None:
        """Take a fact, refused as a node would where the app is known."""
        if self._app is not None:
            declared = self._app.facts.get(type(fact))
            if declared is None:
                raise TypeError(
                    f"app.forward: {type(fact).__name__} is not a fact; declare it with @app.fact"
                )
            declared.row(fact)
        self.forwarded.append(copy.deepcopy(fact))

    def timer(self, asked: TimerAsk) -> None:
        """Take what is wanted of a timer."""
        self.timers.append(asked)

    def now(self) -> int:
        """Return the clock, ns since the epoch."""
        return to_ns(self.time)


def _read(payload: bytes) -> Any:
    return payload.event if isinstance(payload, EventPayload) else read(payload)


@contextmanager
def effects(app: App | None = None, *, now: dt.datetime = START) -> Generator[Captured]:
    """Catch what functions that are called by hand publish and forward.

    With `app`, facts are checked as its node checks them. `now` is what `app.now()` returns.
    """
    captured = Captured(app, now)
    token = current.set(captured)
    try:
        yield captured
    finally:
        current.reset(token)


@overload
def state(value: type[S], *, key: str = "") -> State[S]: ...
@overload
def state(value: S, *, key: str = "") -> State[S]: ...
def state(value: Any, *, key: str = "") -> State[Any]:
    """Return a cell for a function that is called by hand: of a type, with its defaults, or of a value."""
    type_: type[Struct] = value if isinstance(value, type) else type(value)
    committed: Struct = type_() if isinstance(value, type) else value
    return State(StateType(type_, "key", durable=False), key, committed)
