"""Topic aliases in the direction of a client that takes some [5: 3.1.2.11.5, 3.3.2.3.4].

Which topics get one is decided by docs/adr/0038: the least recently used makes room, but for one in eight
newcomers only, so that topics which come once do not drive out those that come again.
"""

from rimward.protocols.mqtt.fields import varint

NEWCOMERS = 8  # of so many without an alias, one gets one where all are taken
PROPERTY = 3  # bytes of the alias
WORTH = PROPERTY + 2  # bytes that a topic has at least which gets one, so that no packet gets longer by it
_ALIAS = b"\x23"


class Aliases:
    """The aliases of one connection; they end with it."""

    __slots__ = ("_count", "_maximum", "_numbers")

    def __init__(self, maximum: int) -> None:
        """`maximum` is how many the client takes."""
        self._maximum: int = maximum
        self._numbers: dict[bytes, int] = {}  # by topic; the least recently used first
        self._count = 0  # newcomers since all were taken

    def apply(self, packet: bytes, room: int = 0) -> bytes:
        """Return an MQTT 5 PUBLISH that is about to be sent with its topic's alias, if it has or gets one.

        What is returned must be sent. Setting an alias makes a packet longer: `room` is bytes that it may
        have in all, 0 for no limit.
        """
        start = _behind_length(packet, 1)
        body = start + 2 + (packet[start] << 8 | packet[start + 1])
        topic = packet[start + 2 : body]
        if len(topic) < WORTH:
            return packet
        number = self._numbers.pop(topic, 0)
        if number:
            self._numbers[topic] = number
            return _rebuilt(packet, b"\0\0", body, number)
        if room and len(packet) + PROPERTY + 2 > room:
            return packet
        number = self._new_number()
        if not number:
            return packet
        self._numbers[topic] = number
        return _rebuilt(packet, packet[start:body], body, number)

    def _new_number(self) -> int:
        if len(self._numbers) < self._maximum:
            return len(self._numbers) + 1
        self._count += 1
        if self._count % NEWCOMERS or not self._numbers:
            return 0
        return self._numbers.pop(next(iter(self._numbers)))


def _rebuilt(packet: bytes, topic: bytes, body: int, number: int) -> bytes:
    """Return a PUBLISH with another topic field and the alias before its other properties."""
    identity = packet[body : body + 2] if packet[0] & 0x06 else b""
    at = body + len(identity)
    rest = _behind_length(packet, at)
    size = sum((byte & 0x7F) << 7 * shift for shift, byte in enumerate(packet[at:rest]))
    tail = varint(size + PROPERTY) + _ALIAS + number.to_bytes(2, "big")
    length = len(topic) + len(identity) + len(tail) + len(packet) - rest
    return b"".join((packet[:1], varint(length), topic, identity, tail, packet[rest:]))


def _behind_length(data: bytes, at: int) -> int:
    """Return where the variable byte integer at `at` ends."""
    while data[at] > 0x7F:
        at += 1
    return at + 1
