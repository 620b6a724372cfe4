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

SHOWN = 128  # characters of a filter in a reason string, which has to have room for the rule


def subscribe(
    connection: "Connection", subscriber: Subscriber, packet: Subscribe, gate: Gate, now: float
) -> None:
    """Answer a SUBSCRIBE; what is retained follows its SUBACK."""
    broker, reasons, taken = gate.broker, list[int](), list[tuple[str, bool]]()
    why = ""  # the first refused filter, and the rule
    session = connection.session
    identifiers = packet.properties.subscription_ids if packet.properties is not None else None
    for asked in packet.subscriptions:
        wish = asked if identifiers is None else replace(asked, identifier=identifiers[0])
        refused = _refuse_filter(wish.filter, subscriber, gate)
        if refused is not None:
            gate.count("refused_subscriptions")
            reasons.append(refused.reason)
            why = why or named(wish.filter, refused.detail)
            continue
        new = broker.subscribe(subscriber, wish)
        reasons.append(wish.qos)
        taken.append((wish.filter, new))
        if wish.filter.startswith(SHARED):
            continue  # what is retained is for no member alone [5: 4.8.2]
        if wish.retain_handling == 0 or (wish.retain_handling == 1 and new):
            broker.replays.add(subscriber, wish)

    def answer(refusal: Refusal | None) -> None:
        said, text = tuple(reasons), why
        if refusal is not None:
            text = text or refusal.detail
            gate.count("refused_subscriptions")
            said = tuple(Reason.QUOTA_EXCEEDED if reason < 0x80 else reason for reason in reasons)
            for topic_filter, new in taken:
                if new:
                    broker.unsubscribe(subscriber, topic_filter)
        session.granted(packet, said, text)
        broker.replays.go_on(subscriber, now)

    _when_kept(subscriber, connection, answer)


def unsubscribe(connection: "Connection", subscriber: Subscriber, packet: Unsubscribe, gate: Gate) -> None:
    """Answer an UNSUBSCRIBE."""
    reasons: list[int] = []
    why = ""
    for topic_filter in packet.filters:
        existed = gate.broker.unsubscribe(subscriber, topic_filter)
        reasons.append(0 if existed else Reason.NO_SUBSCRIPTION_EXISTED)
        if not existed:
            why = why or named(topic_filter, "the client has no such subscription")

    def answer(refusal: Refusal | None) -> None:
        if refusal is None:
            connection.session.ended_subscriptions(packet, tuple(reasons), why)
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


def named(topic_filter: str, rule: str) -> str:
    """Return a rule with the filter that breaks it, as a reason string says it."""
    if rule.endswith(f" {topic_filter}"):
        return rule
    cut = topic_filter if len(topic_filter) <= SHOWN else f"{topic_filter[:SHOWN]}…"
    return f"{cut}: {rule}"


def _refuse_filter(topic_filter: str, subscriber: Subscriber, gate: Gate) -> MqttError | None:
    why = gate.access.may_subscribe(subscriber.identity, topic_filter)
    if why is not None:
        return MqttError(Reason.NOT_AUTHORIZED, why)
    if (why := too_large(topic_filter)) is not None:
        return MqttError(Reason.TOPIC_FILTER_INVALID, why)
    try:
        split_shared(topic_filter)
    except MqttError as error:
        return error
    return None if topic_filter in subscriber.filters else _refuse_more(topic_filter, subscriber, gate)


def _refuse_more(topic_filter: str, subscriber: Subscriber, gate: Gate) -> MqttError | None:
    """Return why one subscription more is too much."""
    most = gate.config.max_subscriptions
    if len(subscriber.filters) >= most:
        return MqttError(Reason.QUOTA_EXCEEDED, f"{most} subscriptions of one client, the limit")
    if (why := gate.broker.table.room(topic_filter)) is not None:
        gate.count("subscriptions_beyond_the_node")
        return MqttError(Reason.QUOTA_EXCEEDED, why)
    return None
