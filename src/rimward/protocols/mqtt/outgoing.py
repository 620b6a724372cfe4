"""One message on its way to many sessions: encoded once per version, QoS and retain flag."""

from rimward.protocols.mqtt import properties as props
from rimward.protocols.mqtt.encoding import publish, publish_flags
from rimward.protocols.mqtt.fields import string, varint
from rimward.protocols.mqtt.packets import Properties

NOTHING = b"\0"  # no properties


class Outgoing:
    """A message as subscribers get it. What a session adds is its packet id alone.

    Subscription identifiers are the exception: those who asked for them get a copy, see `marked`.
    """

    __slots__ = (
        "_plain",
        "expires_at",
        "older",
        "payload",
        "properties",
        "qos",
        "retain",
        "share",
        "size",
        "topic",
    )

    def __init__(  # noqa: PLR0913 (what a message has, each by name)
        self,
        topic: bytes,
        payload: bytes,
        qos: int,
        *,
        retain: bool,
        properties: Properties | None = None,
        encoded: bytes = NOTHING,
        older: bytes | None = None,
    ) -> None:
        """`topic` stands behind its length; `retain` is the flag that the publisher set.

        Properties that have gone through here before may be given `encoded`. `older` is the payload for MQTT
        3.1.1, where properties are part of what the message says.
        """
        self.topic: bytes = topic
        self.payload: bytes = payload
        self.older: bytes = payload if older is None else older
        self.qos: int = qos
        self.retain: bool = retain
        self.share: str = ""  # the shared filter for which it goes to one subscriber alone
        self.expires_at: float = 0.0  # monotonic seconds; 0 is never
        self.properties: bytes = encoded if properties is None else props.encode(forwarded(properties))
        self.size: int = len(topic) + len(payload) + len(self.properties) + 8  # bytes, about
        if older is not None:
            self.size += len(older)
        self._plain: dict[int, bytes] = {}

    def marked(self, identifiers: tuple[int, ...], share: str = "") -> "Outgoing":
        """Return a copy with the identifiers of the subscriptions that it goes to [5: 3.3.4].

        `share` is the shared filter for which it goes to one subscriber alone.
        """
        body = b"".join([b"\x0b" + varint(one) for one in identifiers]) + self._own_properties()
        copy = self._copy(varint(len(body)) + body)
        copy.share = share
        return copy

    def unmarked(self) -> "Outgoing":
        """Return a copy without identifiers, as it was before `marked`."""
        body = self._own_properties()
        while body[:1] == b"\x0b":
            at = 1
            while body[at] > 0x7F:
                at += 1
            body = body[at + 1 :]
        return self._copy(varint(len(body)) + body)

    def _copy(self, properties: bytes) -> "Outgoing":
        older = None if self.older is self.payload else self.older
        copy = Outgoing(
            self.topic, self.payload, self.qos, retain=self.retain, encoded=properties, older=older
        )
        copy.expires_at = self.expires_at
        return copy

    def plain(self, version: int, *, retain: bool, now: float) -> bytes:
        """Return the packet at QoS 0."""
        if self.expires_at:
            return publish(
                publish_flags(0, retain=retain), self.topic, 0, self._tail(version, now), self._body(version)
            )
        key = version << 1 | retain
        data = self._plain.get(key)
        if data is None:
            tail = self.properties if version == 5 else b""
            data = publish(publish_flags(0, retain=retain), self.topic, 0, tail, self._body(version))
            self._plain[key] = data
        return data

    def numbered(
        self, version: int, packet_id: int, qos: int = 1, *, retain: bool, now: float, dup: bool = False
    ) -> bytes:
        """Return the packet at QoS 1 or 2; `dup` tells that the client may have it already."""
        tail, body = self._tail(version, now), self._body(version)
        return publish(publish_flags(qos, retain=retain, dup=dup), self.topic, packet_id, tail, body)

    def _body(self, version: int) -> bytes:
        return self.payload if version == 5 else self.older

    def is_expired(self, now: float) -> bool:
        """Tell whether its time has passed, by monotonic seconds."""
        return self.expires_at != 0.0 and now >= self.expires_at

    def _tail(self, version: int, now: float) -> bytes:
        """Return the properties with what is left of the message's time [5: 3.3.2.3.3]."""
        if version != 5:
            return b""
        if not self.expires_at:
            return self.properties
        left = max(1, int(self.expires_at - now))
        body = b"\x02" + left.to_bytes(4, "big") + self._own_properties()
        return varint(len(body)) + body

    def _own_properties(self) -> bytes:
        """Return the properties without their length."""
        skip = 1 if self.properties == NOTHING else len(varint(_length_of(self.properties)))
        return self.properties[skip:]


def message(
    topic: str, payload: bytes, qos: int, *, retain: bool, properties: Properties | None = None
) -> Outgoing:
    """Return a message by its topic's text."""
    return Outgoing(string(topic), payload, qos, retain=retain, properties=properties)


def forwarded(properties: Properties) -> Properties:
    """Return the properties that go on to subscribers [5: 3.3.2.3]; the expiry is added when it is sent."""
    return Properties(
        payload_format=properties.payload_format,
        content_type=properties.content_type,
        response_topic=properties.response_topic,
        correlation_data=properties.correlation_data,
        user=properties.user,
    )


def _length_of(properties: bytes) -> int:
    value = 0
    for shift, byte in enumerate(properties[:4]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            break
    return value
