"""What a client asks to get, granted or refused filter by filter."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from rimward.edge.dispatch.types import Refusal, Ticket
from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.protocols.mqtt import MqttError, Reason, Subscribe, Unsubscribe
from rimward.protocols.mqtt.topics import SHARED, split_shared, too_large

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection


def subscribe(
    connection: "Connection", subscriber: Subscriber, packet: Subscribe, gate: Gate, now: float
) -> None:
    """Answer a SUBSCRIBE; what is retained follows its SUBACK."""
    broker, reasons, taken = gate.broker, list[int](), list[tuple[str, bool]]()
    session = connection.session
    identifiers = packet.properties.subscription_ids if packet.properties is not None else None
    for asked in packet.subscriptions:
        wish = asked if identifiers is None else replace(asked, identifier=identifiers[0])
        refused = _refuse_filter(wish.filter, subscriber, gate)
        if refused is not None:
            gate.count("refused_subscriptions")
            reasons.append(refused)
            continue
        new = broker.subscribe(subscriber, wish)
        reasons.append(wish.qos)
        taken.append((wish.filter, new))
        if wish.filter.startswith(SHARED):
            continue  # what is retained is for no member alone [5: 4.8.2]
        if wish.retain_handling == 0 or (wish.retain_handling == 1 and new):
            broker.replays.add(subscriber, wish)

    def answer(refusal: Refusal | None) -> None:
        said = tuple(reasons)
        if refusal is not None:
            gate.count("refused_subscriptions")
            said = tuple(Reason.QUOTA_EXCEEDED if reason < 0x80 else reason for reason in reasons)
            for topic_filter, new in taken:
                if new:
                    broker.unsubscribe(subscriber, topic_filter)
        session.granted(packet, said)
        broker.replays.go_on(subscriber, now)

    _when_kept(subscriber, connection, answer)


def unsubscribe(connection: "Connection", subscriber: Subscriber, packet: Unsubscribe, gate: Gate) -> None:
    """Answer an UNSUBSCRIBE."""
    reasons: list[int] = []
    for topic_filter in packet.filters:
        existed = gate.broker.unsubscribe(subscriber, topic_filter)
        reasons.append(0 if existed else Reason.NO_SUBSCRIPTION_EXISTED)

    def answer(refusal: Refusal | None) -> None:
        if refusal is None:
            connection.session.ended_subscriptions(packet, tuple(reasons))
        else:  # it would come again with the node's next start
            connection.drop_unanswered(refusal.detail)

    _when_kept(subscriber, connection, answer)


def _when_kept(
    subscriber: Subscriber, connection: "Connection", answer: Callable[[Refusal | None], None]
) -> None:
    """Answer when the disk has the subscriptions of a session that outlives its connection."""
    if not subscriber.kept:
        answer(None)
        return
    store = subscriber.store
    ticket = store.disk.keep([store.session(subscriber)])

    def done(ticket: Ticket) -> None:
        if not connection.session.closed:
            answer(ticket.refusal)
            connection.wake()

    if ticket.done:
        done(ticket)
    else:
        ticket.on_done = done


def _refuse_filter(topic_filter: str, subscriber: Subscriber, gate: Gate) -> Reason | None:
    if gate.access.may_subscribe(subscriber.identity, topic_filter) is not None:
        return Reason.NOT_AUTHORIZED
    if too_large(topic_filter) is not None or not _is_well_shared(topic_filter):
        return Reason.TOPIC_FILTER_INVALID
    return None if topic_filter in subscriber.filters else _refuse_more(topic_filter, subscriber, gate)


def _refuse_more(topic_filter: str, subscriber: Subscriber, gate: Gate) -> Reason | None:
    """Return why one subscription more is too much."""
    if len(subscriber.filters) >= gate.config.max_subscriptions:
        return Reason.QUOTA_EXCEEDED
    if gate.broker.table.room(topic_filter) is not None:
        gate.count("subscriptions_beyond_the_node")
        return Reason.QUOTA_EXCEEDED
    return None


def _is_well_shared(topic_filter: str) -> bool:
    try:
        split_shared(topic_filter)
    except MqttError:
        return False
    return True
