"""Effects: what a function asks its node to do. The app finds its node by context, never by a global."""

from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

import msgspec

from rimward.app.commands import Order
from rimward.events import CloudEvent, NoNode, NotHere, RimwardError
from rimward.events.cloudevents import to_structured

TOPICS_CACHED = 16_384  # checked topics that are remembered; beyond it the memory starts anew
CACHED_CHARACTERS = 256  # longer topics are checked every time
Action = tuple[str, bytes, int, bool]  # topic, payload, QoS, retain

checked: set[str] = set()  # topics that actions may be published to
_encode = msgspec.json.Encoder().encode
_AS_THEY_ARE = (bytes, str)  # payloads that are not encoded as JSON


class EventPayload(bytes):
    """A CloudEvent in the JSON event format; who can say it with properties finds the event itself in it."""

    event: CloudEvent

    @classmethod
    def of(cls, event: CloudEvent) -> "EventPayload":
        """Return an event as an action's payload.

        Raises:
            CloudEventError: its data are said to be JSON and are not.
        """
        payload = cls(to_structured(event).body)
        payload.event = event
        return payload


class TimerAsk(msgspec.Struct, frozen=True, gc=False):
    """What a call wants of one key's timer."""

    function: str  # the timer's name
    key: str
    delay: int | None  # ns; None cancels
    restart: bool = False  # one that is pending is moved, not kept


class Effects(Protocol):
    """Where a running call leaves its effects; they are released when the call returns."""

    @property
    def actions(self) -> list[Action] | None:
        """Those to the topics' subscribers; None where no call runs."""
        ...

    def forward(self, fact: msgspec.Struct) -> None:
        """Hold a fact for the cloud; raises OutboxFull where there is no room."""
        ...

    def now(self) -> int:
        """Return the node's wall clock, ns since the epoch."""
        ...

    def timer(self, asked: TimerAsk) -> None:
        """Hold what is wanted of a timer; raises TimersFull where too many are pending."""
        ...


class CloudEffects:
    """Where a running call in the cloud leaves its effects; they commit with its offset."""

    actions: None = None

    def forward(self, fact: msgspec.Struct) -> None:
        """Hold a fact for its table."""
        raise NotImplementedError

    def now(self) -> int:
        """Return the wall clock, ns since the epoch."""
        raise NotImplementedError

    def timer(self, asked: TimerAsk) -> None:
        """Timers are at the edge."""
        raise NotImplementedError

    def command(self, order: Order) -> None:
        """Hold a command for a device."""
        raise NotImplementedError


class _Nowhere:
    """Stands where no node runs."""

    actions: None = None

    def forward(self, fact: msgspec.Struct) -> NoReturn:
        del fact
        raise no_node("forward")

    def now(self) -> NoReturn:
        raise no_node("now")

    def timer(self, asked: TimerAsk) -> NoReturn:
        del asked
        raise no_node("after")


NOWHERE: Effects = _Nowhere()  # where no call runs
current: ContextVar[Effects] = ContextVar("rimward_effects", default=NOWHERE)


def no_node(verb: str) -> RimwardError:
    """Return the error of a verb that was called outside a call, or where its layer does not have it."""
    if isinstance(current.get(), CloudEffects):
        return NotHere(
            f"app.{verb} was called in a cloud function, and subscribers are at the edge; "
            "use app.command for a device, or app.forward for a fact"
        )
    return NoNode(
        f"app.{verb} was called outside a node; call it inside a function that a node runs, "
        "or use rimward dev"
    )


def effects(verb: str) -> Effects:
    """Return the running call's effects.

    Raises:
        NoNode: nothing runs in this context.
    """
    found = current.get()
    if found.actions is None and not isinstance(found, CloudEffects):
        raise no_node(verb)
    return found


def cloud_effects() -> CloudEffects:
    """Return the running call's effects in the cloud.

    Raises:
        NotHere: the call runs at the edge.
        NoNode: nothing runs in this context.
    """
    found = current.get()
    if isinstance(found, CloudEffects):
        return found
    if found.actions is None:
        raise no_node("command")
    raise NotHere("app.command was called at the edge; there take a Device and write await device.command(…)")


def ask_timer(verb: str, asked: TimerAsk) -> None:
    """Hand a timer's wish to the running call.

    Raises:
        NoNode: nothing runs in this context.
        NotHere: the call runs in the cloud.
        TimersFull: too many timers are pending.
    """
    found = current.get()
    if isinstance(found, CloudEffects):
        raise NotHere(
            f"state.{verb} was called in a cloud function, and timers are at the edge; "
            "in the cloud use @app.cloud(cron(…))"
        )
    if found.actions is None:
        raise NoNode(
            f"state.{verb} was called outside a node; call it inside a function that a node runs, "
            "or use rimward.testing.effects()"
        )
    found.timer(asked)


def encode_payload(payload: Any) -> bytes:
    """Return an action's payload: bytes as they are, text as UTF-8, anything else as JSON.

    Raises:
        CloudEventError: it is an event whose data are said to be JSON and are not.
    """
    if type(payload) is dict:
        return _encode(payload)
    if isinstance(payload, _AS_THEY_ARE):
        return payload.encode() if isinstance(payload, str) else payload
    return EventPayload.of(payload) if isinstance(payload, CloudEvent) else _encode(payload)


def check_topic(topic: str) -> None:
    """Check an action's topic, and remember it in `checked`.

    Raises:
        ValueError: it is empty, or has a wildcard or NUL.
    """
    if not topic or "+" in topic or "#" in topic or "\0" in topic:
        raise ValueError(f"app.publish: topic {topic!r} is empty or has one of + # NUL")
    if len(topic) <= CACHED_CHARACTERS:
        if len(checked) >= TOPICS_CACHED:
            checked.clear()
        checked.add(topic)
