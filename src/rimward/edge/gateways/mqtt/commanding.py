"""A command on its way to one device: not to everyone who listens to its topic."""

from typing import TYPE_CHECKING

from rimward.edge.dispatch.commands import topics_of
from rimward.protocols.mqtt import Properties
from rimward.protocols.mqtt.fields import string
from rimward.protocols.mqtt.outgoing import Outgoing
from rimward.protocols.mqtt.topics import problem

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.broker import Broker
    from rimward.edge.gateways.mqtt.subscriber import Subscriber


def why_not(broker: "Broker", subscriber: "Subscriber", name: str) -> str | None:
    """Return why a device can't take such a command, None where it can."""
    return _way(broker, subscriber, name, "0")[1]


def send_command(
    broker: "Broker", subscriber: "Subscriber", name: str, payload: bytes, number: str
) -> str | None:
    """Queue a command; return why the device can't take it.

    MQTT 5 carries the number as correlation data; for MQTT 3.1.1 it ends the topic.
    """
    qos, why = _way(broker, subscriber, name, number)
    if why is not None:
        return why
    topic, response = _topics(subscriber, name, number)
    properties: Properties | None = None
    if subscriber.session.version == 5:
        properties = Properties(response_topic=response, correlation_data=number.encode())
    outgoing = Outgoing(string(topic), payload, qos, retain=False, properties=properties)
    if not subscriber.deliver(outgoing, qos, 0.0, retain=False):
        return "too much waits for it already"
    broker.mark(subscriber)
    return None


def _topics(subscriber: "Subscriber", name: str, number: str) -> tuple[str, str]:
    topic, response = topics_of(subscriber.sender.id, name)
    return (topic if subscriber.session.version == 5 else f"{topic}/{number}"), response


def _way(broker: "Broker", subscriber: "Subscriber", name: str, number: str) -> tuple[int, str | None]:
    """Return the QoS with which a device listens to a command, or why it can't take it."""
    if any(character in subscriber.sender.id for character in "/+#"):
        return 0, "its client id has one of / + #, so it has no topic of its own"
    topic, _ = _topics(subscriber, name, number)
    if (why := problem(topic)) is not None:
        return 0, why
    own = [delivery for delivery in broker.listeners(topic) if delivery.subscriber is subscriber]
    if not own:
        return 0, f"it does not listen to {topic}"
    return min(own[0].qos, 1), None
