"""One message on its way through the functions that listen to it: one transaction, one answer."""

from collections.abc import Callable
from typing import Any, Protocol

from rimward.edge.dispatch.call import Origin
from rimward.edge.dispatch.encodings import Encoding
from rimward.edge.dispatch.functions import Figures
from rimward.edge.dispatch.types import Commits, Refusal, Reply, Sender, Ticket
from rimward.edge.outbox import DeadLetter, Transaction
from rimward.events import REFUSALS, CloudEvent, Event, parse_traceparent, to_ns
from rimward.observe import Stage

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})  # they stay at the door


class Desk(Protocol):
    """What a piece of work asks of the dispatcher."""

    def wall_of(self, monotonic: int) -> int:
        """Return the wall clock at a monotonic time, ns."""
        ...

    def event_id(self) -> str:
        """Return an id that no other event has."""
        ...


class Work:
    """The state of one message between its arrival and its answer."""

    __slots__ = (
        "_origin",
        "_tx",
        "actions",
        "carried",
        "changed",
        "commits",
        "content_type",
        "data",
        "desk",
        "detached",
        "encoding",
        "ends",
        "error",
        "event",
        "figures",
        "headers",
        "must_wait",
        "payload",
        "pending",
        "protocol",
        "read_at",
        "refusal",
        "reply",
        "sender",
        "source",
        "stages",
        "steps",
        "structured",
        "ticket",
        "time_field",
        "traceparent",
        "wants_reply",
    )

    def __init__(self, desk: Desk, source: str, payload: bytes, sender: Sender, read_at: int) -> None:
        self.desk: Desk = desk
        self.source: str = source  # topic, path or the name of a beat
        self.payload: bytes = payload  # as it came
        self.data: bytes = payload  # what functions decode: of an event its data
        self.sender: Sender = sender
        self.protocol: str = sender.protocol
        self.read_at: int = read_at  # monotonic ns
        self.traceparent: str | None = None
        self.carried: CloudEvent | None = None  # what the message is
        self.commits: Commits | None = None  # what the gateway adds to the transaction
        self.event: Any = None  # the decoded payload that has the event's own time
        self.time_field: str | None = None
        self.figures: Figures | None = None  # of the function whose commit is timed
        self.pending: int = 0  # async functions that still run
        self.must_wait: bool = False  # a stream's window changed and the device waits for its answer
        self.headers: dict[str, str] | None = None  # of the request
        self.actions: int = 0
        self.refusal: Refusal | None = None
        self.error: str | None = None
        self.content_type: str | None = None
        self.wants_reply: bool = False
        self.encoding: Encoding = "json"  # of the reply
        self.structured: bool = False  # an event in reply is to be one body
        self.reply: Reply | None = None  # the first one
        self.ends: list[Callable[[], None]] = []  # run once all functions have ended, before the commit
        self.steps: list[Callable[[], None]] = []  # that take its state changes back
        self.changed: list[tuple[str, str]] = []  # cells that are watched, told of when it has committed
        self.detached: bool = False  # nobody waits for what is committed
        self.stages: list[Stage] | None = None
        self.ticket: Ticket | None = None
        self._tx: Transaction | None = None
        self._origin: Origin | None = None

    @property
    def tx(self) -> Transaction:
        """The message's transaction, made when something durable comes up."""
        if self._tx is None:
            self._tx = Transaction()
        return self._tx

    @property
    def durable(self) -> bool:
        """Whether there is something to commit, or a window's change to wait for."""
        return self._tx is not None or self.must_wait

    @property
    def comes_again(self) -> bool:
        """Whether it was refused in words that ask for it again: then nothing of it may be kept."""
        return self.refusal is not None and REFUSALS[self.refusal.kind].later

    def origin(self) -> Origin:
        """Return where the event came from, as its rows tell it."""
        if self._origin is None:
            parsed = parse_traceparent(self.traceparent) if self.traceparent else None
            time, carried = None, self.carried
            if self.time_field is not None and self.event is not None:
                time = to_ns(getattr(self.event, self.time_field))
            elif carried is not None and carried.time is not None:
                time = to_ns(carried.time)
            self._origin = Origin(
                self.desk.event_id() if carried is None else carried.id,
                self.desk.wall_of(self.read_at),
                time,
                bytes.fromhex(parsed[0]) if parsed else None,
                self.read_at,
            )
        return self._origin

    def cause(self, origin: Origin) -> None:
        """Say where it comes from, for what no message is."""
        self._origin = origin

    def as_event(self, node: str) -> Event:
        """Return it as a function may ask for it."""
        origin, carried = self.origin(), self.carried
        return Event(
            id=origin.event,
            source=f"//{node}" if carried is None else carried.source,
            type="message" if carried is None else carried.type,
            subject=self.source if carried is None or carried.subject is None else carried.subject,
            time=origin.received if origin.time is None else origin.time,
            received_at=origin.received,
            sender=self.sender.id,
            protocol=self.protocol,
            traceparent=self.traceparent,
            headers={} if self.headers is None else _without_credentials(self.headers),
        )

    def undo(self) -> None:
        """Take back every state change and forget all that is durable."""
        steps = self.steps or (self._tx.undo if self._tx is not None else [])
        for step in reversed(steps):
            step()
        self.steps = []
        self.changed = []
        self._tx = None

    def seal(self) -> None:
        """Give the transaction what takes the state changes back, should the disk refuse it."""
        self.tx.undo, self.steps = self.steps, []

    def aside(self) -> "Work":
        """Return the work of a function that is not part of this one's transaction."""
        aside = Work(self.desk, self.source, self.payload, self.sender, self.read_at)
        aside.traceparent, aside.content_type = self.traceparent, self.content_type
        aside.carried, aside.data, aside.structured = self.carried, self.data, self.structured
        aside.headers = self.headers
        aside.wants_reply, aside.encoding = self.wants_reply and self.reply is None, self.encoding
        aside.detached = True
        return aside

    def refuse(self, kind: str, detail: str) -> None:
        """Refuse the message; the first reason stands, or the first that asks for the message again."""
        if self.refusal is None or (REFUSALS[kind].later and not self.comes_again):
            self.refusal = Refusal(kind, detail)

    def withhold(self, detail: str) -> None:
        """Refuse the message for want of room or of a disk, whatever it was refused for before.

        Nothing of it may be kept, its dead letters neither, so it must not be acknowledged.
        """
        self.refusal = Refusal("full", detail)

    def bury(self, reason: str, detail: str, function: str | None) -> None:
        """Put the event into the dead letters, with this transaction."""
        self.tx.dead.append(
            DeadLetter(
                at=self.desk.wall_of(self.read_at),
                reason=reason,
                detail=detail,
                protocol=self.protocol,
                source=self.source,
                sender=self.sender.id,
                function=function,
                payload=self.payload,
            )
        )


def _without_credentials(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _CREDENTIALS}


Resume = Callable[[], None]
