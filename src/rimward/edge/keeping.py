"""What gateways keep on disk through the outbox: retained messages and dead letters."""

from collections.abc import Callable

import msgspec
from msgspec import Struct

from rimward.edge.dispatch.ports import OutboxPort
from rimward.edge.dispatch.types import Refusal, Sender, Ticket
from rimward.edge.outbox import DeadLetter, Put, Transaction
from rimward.events import RimwardError

RETAINED = "retained"


class Retained(Struct, frozen=True, gc=False):
    """A topic's last retained message."""

    payload: bytes
    qos: int


class Keeper:
    """The gateways' way to the outbox; they know neither SQLite nor transactions."""

    def __init__(self, outbox: OutboxPort, wall: Callable[[], int]) -> None:
        self._outbox = outbox
        self._wall = wall

    def load_retained(self) -> dict[str, tuple[bytes, int]]:
        """Return every topic's retained payload and QoS."""
        stored = self._outbox.load(RETAINED)
        decoder = msgspec.msgpack.Decoder(Retained)
        messages = {topic: decoder.decode(value) for topic, value in stored.items()}
        return {topic: (message.payload, message.qos) for topic, message in messages.items()}

    def store_retained(self, topic: str, payload: bytes | None, qos: int = 0) -> Ticket:
        """Keep a topic's retained message, or forget it; the ticket is done when the disk has it."""
        value = None if payload is None else msgspec.msgpack.encode(Retained(payload, qos))
        ticket = Ticket()
        transaction = Transaction()
        transaction.puts.append(Put(RETAINED, topic, value))
        self._append(transaction, ticket)
        return ticket

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
