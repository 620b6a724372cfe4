"""What gateways keep on disk through the outbox: retained messages, sessions and dead letters."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from rimward.edge.dispatch.ports import Clocks, OutboxPort
from rimward.edge.dispatch.types import Entry, Refusal, Retained, Sender, Ticket
from rimward.edge.outbox import DeadLetter, Put, Transaction
from rimward.events import RimwardError

RETAINED = "retained"


class _Stored(Struct, frozen=True, gc=False):
    """A retained message on disk; its first two fields are all that older ones have."""

    payload: bytes
    qos: int
    properties: bytes = b"\0"
    until: int = 0  # wall ns; 0 is for ever
    older: bytes | None = None


class Keeper:
    """The gateways' way to the outbox; they know neither SQLite nor transactions."""

    def __init__(self, outbox: OutboxPort, clocks: Clocks) -> None:
        self._outbox = outbox
        self._wall = clocks.wall
        self._monotonic = clocks.monotonic

    def load_retained(self) -> dict[str, Retained]:
        """Return every topic's retained message; those whose time has passed meanwhile are forgotten."""
        decoder = msgspec.msgpack.Decoder(_Stored)
        wall = self._wall()
        found: dict[str, Retained] = {}
        for topic, value in self._outbox.load(RETAINED).items():
            one = decoder.decode(value)
            if one.until and one.until <= wall:
                self.store_retained(topic, None)
                continue
            expires_at = self.monotonic_of(one.until) if one.until else 0.0
            found[topic] = Retained(one.payload, one.qos, one.properties, expires_at, one.older)
        return found

    def store_retained(self, topic: str, message: Retained | None) -> Ticket:
        """Keep a topic's retained message, or forget it; the ticket is done when the disk has it."""
        return self.keep([self.retained(topic, message)])

    def retained(self, topic: str, message: Retained | None) -> Entry:
        """Return the entry that keeps a topic's retained message, or forgets it."""
        return (RETAINED, topic, None if message is None else msgspec.msgpack.encode(self._stored(message)))

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space held when the node started."""
        return self._outbox.load(space)

    def keep(self, entries: Sequence[Entry]) -> Ticket:
        """Put entries on disk together; the ticket is done when they are there."""
        ticket = Ticket()
        transaction = Transaction()
        transaction.puts += [Put(*entry) for entry in entries]
        self._append(transaction, ticket)
        return ticket

    def lazily(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Put an entry there with the next commit, at the latest after a second, as it is then."""
        self._outbox.touch(space, key, encode)

    def wall_of(self, monotonic: float) -> int:
        """Return the wall clock, ns, at a monotonic time in seconds."""
        return self._wall() + round(monotonic * 1e9) - self._monotonic()

    def monotonic_of(self, wall: int) -> float:
        """Return the monotonic time, seconds, of a wall clock in ns."""
        return (wall - self._wall() + self._monotonic()) * 1e-9

    def _stored(self, message: Retained) -> _Stored:
        """Return it with the end of its time by the wall clock, which goes on while the node does not."""
        until = self.wall_of(message.expires_at) if message.expires_at else 0
        return _Stored(message.payload, message.qos, message.properties, until, message.older)

    def bury(self, reason: str, detail: str, sender: Sender, source: str, payload: bytes) -> Ticket:
        """Keep what a gateway could not even hand over; the ticket is done when the disk has it."""
        transaction = Transaction()
        transaction.dead.append(
            DeadLetter(
                at=self._wall(),
                reason=reason,
                detail=detail,
                protocol=sender.protocol,
                source=source,
                sender=sender.id,
                function=None,
                payload=payload,
            )
        )
        ticket = Ticket()
        self._append(transaction, ticket)
        return ticket

    def _append(self, transaction: Transaction, ticket: Ticket) -> None:
        def done(error: RimwardError | None) -> None:
            ticket.finish(None if error is None else Refusal("full", str(error)))

        try:
            self._outbox.append(transaction, done)
        except RimwardError as error:
            ticket.finish(Refusal("full", str(error)))
