"""What a client asks to get, granted or refused filter by filter."""

from msgspec.structs import replace

from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.protocols.mqtt import MqttError, Reason, Subscribe, Unsubscribe
from rimward.protocols.mqtt.topics import SHARED, split_shared, too_large


def subscribe(subscriber: Subscriber, packet: Subscribe, gate: Gate, now: float) -> None:
    """Answer a SUBSCRIBE; what is retained follows its SUBACK."""
    broker, reasons = gate.broker, list[int]()
    identifiers = packet.properties.subscription_ids if packet.properties is not None else None
    for asked in packet.subscriptions:
        wish = asked if identifiers is None else replace(asked, identifier=identifiers[0])
        refused = _refuse_filter(wish.filter, subscriber, gate)
        if refused is not None:
            gate.count("refused_subscriptions")
            reasons.append(refused)
            continue
        new = broker.subscribe(subscriber, wish)
        reasons.append(min(wish.qos, 1))
        if wish.filter.startswith(SHARED):
            continue  # what is retained is for no member alone [5: 4.8.2]
        if wish.retain_handling == 0 or (wish.retain_handling == 1 and new):
            broker.replays.add(subscriber, wish)
    subscriber.session.granted(packet, tuple(reasons))
    broker.replays.go_on(subscriber, now)


def unsubscribe(subscriber: Subscriber, packet: Unsubscribe, gate: Gate) -> None:
    """Answer an UNSUBSCRIBE."""
    reasons: list[int] = []
    for topic_filter in packet.filters:
        existed = gate.broker.unsubscribe(subscriber, topic_filter)
        reasons.append(0 if existed else Reason.NO_SUBSCRIPTION_EXISTED)
    subscriber.session.ended_subscriptions(packet, tuple(reasons))


def _refuse_filter(topic_filter: str, subscriber: Subscriber, gate: Gate) -> Reason | None:
    try:
        split_shared(topic_filter)
    except MqttError as error:
        return error.reason
    if too_large(topic_filter) is not None:
        return Reason.TOPIC_FILTER_INVALID
    if topic_filter in subscriber.filters:
        return None
    if len(subscriber.filters) >= gate.config.max_subscriptions:
        return Reason.QUOTA_EXCEEDED
    if gate.broker.table.room(topic_filter) is not None:
        gate.count("subscriptions_beyond_the_node")
        return Reason.QUOTA_EXCEEDED
    return None
