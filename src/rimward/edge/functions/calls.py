"""A call's effects in a worker: held until it returns, then sent to the node, which applies all or none."""

from typing import Any

from msgspec import Struct

from rimward.app.effects import Action, EventPayload, TimerAsk
from rimward.app.facts import Fact
from rimward.app.state import State
from rimward.events import Reject
from rimward.events.raised import place_of
from rimward.wire.functions import Failure, Left, Timer

_ROW = 256  # bytes of a row, about


class FarEffects:
    """What `app.publish`, `app.forward` and `app.now` find in a worker."""

    __slots__ = ("_clock", "_facts", "actions", "offset", "rows", "timers")

    def __init__(self, facts: dict[type[Struct], Fact], offset: int, clock: Any) -> None:
        """`offset` is from the clock, monotonic ns, to the node's wall clock."""
        self._facts = facts
        self._clock = clock
        self.offset: int = offset
        self.actions: list[Action] = []
        self.rows: list[tuple[str, list[Any]]] = []
        self.timers: list[TimerAsk] = []

    def forward(self, fact: Struct) -> None:
        """Hold a fact until the call returns.

        Raises:
            TypeError: it is not of a declared type, or a value is not of its field's.
        """
        declared = self._facts.get(type(fact))
        if declared is None:
            raise TypeError(f"app.forward: {type(fact).__name__} is not a fact; declare it with @app.fact")
        self.rows.append((declared.spec.table, list(declared.row(fact))))

    def now(self) -> int:
        """Return the node's wall clock, ns."""
        return self._clock() + self.offset

    def timer(self, asked: TimerAsk) -> None:
        """Hold what is wanted of a timer until the call returns; the node tells whether there is room."""
        self.timers.append(asked)

    def clear(self) -> None:
        """Forget what the call has left: the next one begins."""
        if self.actions or self.rows or self.timers:
            self.actions, self.rows, self.timers = [], [], []

    def left(self, handles: list[State[Any]]) -> Left | None:
        """Return what the call leaves; None where that is nothing.

        Raises:
            StateInvalid: a state can't be kept.
        """
        if not (handles or self.actions or self.rows or self.timers):
            return None
        states: list[bytes | None] = []
        if handles:
            changed = [handle.checked() for handle in handles]
            if any(value is not None for value in changed):
                states = [None if value is None else value.body for value in changed]
        if not (self.actions or self.rows or states or self.timers):
            return None
        events = {at: one[1].event for at, one in enumerate(self.actions) if isinstance(one[1], EventPayload)}
        slots = {handle.key: slot for slot, handle in enumerate(handles)}
        timers = [
            Timer(slots[one.key], one.function, None if one.delay is None else one.delay / 1e9, one.restart)
            for one in self.timers
        ]
        return Left(self.actions, events, self.rows, states, timers)


def weight_of(left: Left) -> int:
    """Return about how many bytes what a call leaves takes on its way."""
    return (
        sum(len(payload) for _, payload, _, _ in left.actions)
        + sum(len(value) for value in left.states if value is not None)
        + _ROW * len(left.rows)
    )


class ForeignError(Exception):
    """What a function raised that is no Python of this process, or why it was ended."""

    def __init__(self, name: str, text: str, place: str, *, stopped: bool = False) -> None:
        """`name` is that of its type there, `place` is where it was raised; `stopped`: its time was over."""
        super().__init__(text)
        self.name = name
        self.place = place
        self.stopped = stopped


def failure_of(error: BaseException) -> Failure:
    """Return what a function raised as it goes to the node."""
    if isinstance(error, ForeignError):
        return Failure(error.name, str(error), error.place, stopped=error.stopped)
    if isinstance(error, Reject):
        return Failure("Reject", error.detail, "", error.kind)
    return Failure(type(error).__name__, str(error), place_of(error))
