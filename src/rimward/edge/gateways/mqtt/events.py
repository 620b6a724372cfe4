"""CloudEvents on their way out: MQTT 5 gets them in binary mode, MQTT 3.1.1 in the JSON event format."""

from rimward.events import CloudEvent
from rimward.events.cloudevents import to_mqtt, to_structured
from rimward.protocols.mqtt import Properties
from rimward.protocols.mqtt.outgoing import Outgoing

MAX_STRING = 65_535  # bytes of a property


def outgoing_event(
    head: bytes,
    event: CloudEvent,
    qos: int,
    *,
    retain: bool,
    correlation: bytes | None = None,
    more: tuple[tuple[str, str], ...] = (),
) -> Outgoing:
    """Return an event as its subscribers get it; `head` is the topic behind its length.

    It is in the JSON event format for all where MQTT 5 can't carry it in binary mode: retained without data,
    which would clear the topic [5: 3.3.1.3], or with an attribute too long for a property [5: 1.5.4].
    """
    structured, carried = to_structured(event), to_mqtt(event)
    texts = (carried.content_type or "", *carried.fields.values(), *carried.fields)
    if (retain and not carried.body) or any(len(text.encode()) > MAX_STRING for text in texts):
        carried = structured
    properties = Properties(
        content_type=carried.content_type,
        correlation_data=correlation,
        user=(*carried.fields.items(), *more) or None,
    )
    return Outgoing(head, carried.body, qos, retain=retain, properties=properties, older=structured.body)
