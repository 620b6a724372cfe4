"""What a client's packets are answered with, messages apart.

Of a session that outlives its connection each step of QoS 2 is on disk before it is said [4.3.3].
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Ticket
from rimward.edge.gateways.mqtt.authenticating import authenticate_again
from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.rates import OverRate, refuse
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.edge.gateways.mqtt.subscribing import subscribe, unsubscribe
from rimward.protocols.mqtt import (
    Auth,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Reason,
    Subscribe,
    Unsubscribe,
)
from rimward.protocols.mqtt.flights import Flight
from rimward.protocols.mqtt.session import PENDING, ServerSession

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection


def answer(connection: "Connection", gate: Gate, packet: Packet, read_at: int) -> None:
    """Answer one packet."""
    session, subscriber, now = connection.session, connection.subscriber, read_at * 1e-9
    match packet:
        case Puback() | Pubrec() | Pubcomp():
            _take_acknowledgement(connection, packet, now)
            _go_on(connection, now)
        case Pubrel():
            _take_pubrel(connection, packet)
        case OverRate():
            refuse(connection, packet, read_at)
        case Publish():  # at QoS 2
            connection.arrive_in_order(packet, read_at)
        case Pingreq():
            session.pong()
        case Subscribe() if subscriber is not None:
            subscribe(connection, subscriber, packet, gate, now)
        case Unsubscribe() if subscriber is not None:
            unsubscribe(connection, subscriber, packet, gate)
        case Auth():
            authenticate_again(connection, packet, connection.peer, gate)
        case _:
            pass  # DISCONNECT: the session has ended


def _take_acknowledgement(connection: "Connection", packet: Puback | Pubrec | Pubcomp, now: float) -> None:
    match packet:
        case Puback():
            connection.session.confirmed(packet, now)
        case Pubrec():
            _take_pubrec(connection, packet, now)
        case Pubcomp():
            connection.session.completed(packet, now)


def confirm(connection: "Connection", packet_id: int) -> bool:
    """Take a PUBACK that says success; False where something waits for it, and `answer` is to be asked."""
    return not connection.broker.replays.waiting and connection.session.confirmed_plain(packet_id)


def _go_on(connection: "Connection", now: float) -> None:
    """Send what had to wait for the client's acknowledgement."""
    subscriber = connection.subscriber
    if subscriber is not None:
        if connection.session.settled:
            subscriber.settle()
        connection.broker.replays.go_on(subscriber, now)


def is_repeated(connection: "Connection", packet: Publish) -> bool:
    """Answer a message that was taken before, on this connection or on one before it."""
    reason = connection.session.repeated(packet.packet_id)
    subscriber = connection.subscriber
    if reason is None:
        return False
    connection.count("repeated_qos2")
    if reason >= 0x80 and subscriber is not None and subscriber.kept:
        subscriber.store.forget_taken(packet.packet_id, subscriber.sender.id)
    return True


def _take_pubrel(connection: "Connection", packet: Pubrel) -> None:
    """Forget a client's message and send PUBCOMP."""
    session, subscriber, packet_id = connection.session, connection.subscriber, packet.packet_id
    known = session.taken.get(packet_id)
    if known is None:
        connection.count("unexpected_pubrels")
        session.complete(packet_id, Reason.PACKET_IDENTIFIER_NOT_FOUND)
    elif known == PENDING:
        session.fail(Reason.PROTOCOL_ERROR, f"a PUBREL for packet identifier {packet_id} before its PUBREC")
    elif subscriber is None or not subscriber.kept:
        session.complete(packet_id)
    else:
        _when_done(
            subscriber.store.forget_taken(packet_id, subscriber.sender.id),
            connection,
            lambda: _complete(subscriber, session, packet_id),
        )


def _complete(subscriber: Subscriber, session: ServerSession, packet_id: int) -> None:
    """Say it on the connection that the client has now."""
    now = subscriber.session
    (now if isinstance(now, ServerSession) else session).complete(packet_id)


def _take_pubrec(connection: "Connection", packet: Pubrec, now: float) -> None:
    """Note that a client has a message, and release it."""
    session, subscriber = connection.session, connection.subscriber
    flight = session.received(packet, now)
    if flight is None or subscriber is None:
        return

    def release(flight: Flight = flight) -> None:
        if not session.closed:
            session.release(flight.packet_id)

    _when_done(subscriber.store.release(flight, subscriber.sender.id), connection, release)


def _when_done(ticket: Ticket, connection: "Connection", step: Callable[[], None]) -> None:
    """Take a step when the disk has what it stands on; where the disk refuses, the client asks again."""

    def done(ticket: Ticket) -> None:
        if ticket.refusal is None:
            step()
        else:
            connection.drop_unanswered(ticket.refusal.detail)
        connection.wake()

    if ticket.done:
        done(ticket)
    else:
        ticket.on_done = done
