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


def send_command(
    broker: "Broker", subscriber: "Subscriber", name: str, payload: bytes, number: str
) -> str | None:
    """Queue a command; return why the device can't take it.

    MQTT 5 carries the number as correlation data; for MQTT 3.1.1 it ends the topic.
    """
    device = subscriber.sender.id
    if any(character in device for character in "/+#"):
        return "its client id has one of / + #, so it has no topic of its own"
    topic, response = topics_of(device, name)
    properties: Properties | None = None
    if subscriber.session.version == 5:
        properties = Properties(response_topic=response, correlation_data=number.encode())
    else:
        topic = f"{topic}/{number}"
    if (why := problem(topic)) is not None:
        return why
    own = [delivery for delivery in broker.listeners(topic) if delivery.subscriber is subscriber]
    if not own:
        return f"it does not listen to {topic}"
    qos = min(own[0].qos, 1)
    outgoing = Outgoing(string(topic), payload, qos, retain=False, properties=properties)
    if not subscriber.deliver(outgoing, qos, 0.0, retain=False):
        return "too much waits for it already"
    broker.mark(subscriber)
    return None
