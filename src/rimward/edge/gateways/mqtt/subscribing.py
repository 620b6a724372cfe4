"""What a client asks to get, granted or refused filter by filter."""

from rimward.edge.gateways.mqtt.gate import Gate
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.protocols.mqtt import Reason, Subscribe, Unsubscribe
from rimward.protocols.mqtt.topics import too_large


def subscribe(subscriber: Subscriber, packet: Subscribe, gate: Gate, now: float) -> None:
    """Answer a SUBSCRIBE; what is retained follows its SUBACK."""
    broker, reasons = gate.broker, list[int]()
    for wish in packet.subscriptions:
        refused = _refuse_filter(wish.filter, subscriber, gate)
        if refused is not None:
            gate.count("refused_subscriptions")
            reasons.append(refused)
            continue
        new = broker.subscribe(subscriber, wish)
        reasons.append(min(wish.qos, 1))
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
    if gate.access.may_subscribe(subscriber.identity, topic_filter) is not None:
        return Reason.NOT_AUTHORIZED
    if topic_filter.startswith("$share/"):
        return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
    if too_large(topic_filter) is not None:
        return Reason.TOPIC_FILTER_INVALID
    filters = subscriber.filters
    if len(filters) >= gate.config.max_subscriptions and topic_filter not in filters:
        return Reason.QUOTA_EXCEEDED
    return None
