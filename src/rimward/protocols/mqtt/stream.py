"""Bytes to packets: every complete packet of a read in one pass, PUBLISH and PUBACK in a lane of their own.

What the lane takes is plain: a topic that was checked before, no properties, QoS 0 or 1, a PUBACK that says
success. It comes out as a tuple or a number, which cost a tenth of an object's making. All else goes through
`decode_body`, which checks everything.
"""

import struct

from rimward.protocols.mqtt.decoding import decode_body, protocol_version
from rimward.protocols.mqtt.fields import Reader, malformed
from rimward.protocols.mqtt.packets import Packet, Puback, Publish
from rimward.protocols.mqtt.reasons import MqttError, Reason

TOPICS_CACHED = 16_384  # checked topics that a decoder remembers; beyond it the memory starts anew
CACHED_BYTES = 256  # longer topics are checked every time
LANE = 130  # bytes: a smaller limit on packets closes the lane, which checks the limit on longer ones alone
NO_ID = b"\0\0"  # is no packet id
EVIDENCE = 4096  # bytes of a broken packet that its error keeps

PlainPublish = tuple[str, bytes, int, bytes]  # topic, payload, QoS 0 or 1, packet id as it came, or nothing
Taken = Packet | PlainPublish | int  # what a read gives: a number is a PUBACK that says success

_HEAD = struct.Struct(">BBH").unpack_from


class Decoder:
    """Cuts a byte stream into packets. After the first broken rule it takes no more: see `error`."""

    __slots__ = (
        "_fast",
        "_max_packet_size",
        "_need",
        "_rest",
        "_topics",
        "ended",
        "error",
        "over",
        "version",
    )

    def __init__(
        self, max_packet_size: int, *, version: int = 0, topics: dict[bytes, str] | None = None
    ) -> None:
        """Version 0 waits for a CONNECT to say it. `topics` may be shared by many decoders."""
        self.version: int = version
        self.error: MqttError | None = None
        self.ended: bool = False  # the peer has said goodbye: what follows is not read
        self.over: bool = False  # one of the two, or its session has failed: nothing more is read
        self._max_packet_size = max_packet_size  # bytes
        self._topics: dict[bytes, str] = {} if topics is None else topics  # by length and UTF-8 bytes
        self._rest = bytearray()  # the start of a packet that is not complete
        self._need = 0  # bytes that it has when it is, as far as is known
        self._fast = False  # the lane is open

    def open_lane(self) -> None:
        """Take plain packets the short way; sessions call it when the handshake is checked."""
        self._fast = self._max_packet_size >= LANE

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that `data` completes, up to the first that breaks a rule."""
        return [packet_of(taken) for taken in self.cut(data)]

    def cut(self, data: bytes) -> list[Taken]:  # noqa: C901, PLR0912 (one lane, measured: a call costs more than it clears up)
        """As `feed`, with what is plain as it was taken: `packet_of` says which packet that is."""
        taken: list[Taken] = []
        if self._rest or self.over:
            data = self._joined(data)
        pos, end, topics, v5 = 0, len(data), self._topics, self.version == 5
        last = end - 4 if self._fast else -1  # where the last packet can start that the lane looks at
        first: int
        length: int
        size: int
        while pos < end:
            while pos <= last:
                first, length, size = _HEAD(data, pos)  # a topic's length, or a PUBACK's packet id
                start = pos + 2
                if first & 0xFD != 0x30:  # no PUBLISH at QoS 0 or 1, or it is retained or sent again
                    if first != 0x40 or length != 2 or not size:
                        break
                    taken.append(size)
                    pos += 4
                    continue
                if length > 0x7F:
                    start, length = _long_length(data, start, end)
                    if start + 2 > end or length + 5 > self._max_packet_size:
                        break
                    size = data[start] << 8 | data[start + 1]
                stop = start + length
                body = start + 2 + size
                if stop > end:
                    break
                topic = topics.get(data[start:body])
                if topic is None:
                    break
                if first == 0x30:
                    if v5:
                        if body >= stop or data[body]:
                            break
                        body += 1
                    elif body > stop:
                        break
                    taken.append((topic, data[body:stop], 0, b""))
                else:
                    start = body
                    body += 3 if v5 else 2
                    identity = data[start : start + 2]
                    if body > stop or identity == NO_ID or (v5 and data[body - 1]):
                        break
                    taken.append((topic, data[body:stop], 1, identity))
                pos = stop
            if pos < end:
                pos = self._step(data, pos, end, taken)
                v5, last = self.version == 5, end - 4 if self._fast else -1
        return taken

    def _joined(self, data: bytes) -> bytes:
        """Return the start of a packet with what has come of it, once that may be all of it; else nothing."""
        if self.over:
            return b""
        self._rest += data
        if len(self._rest) < self._need:
            return b""
        data = bytes(self._rest)
        self._rest = bytearray()
        return data

    def _step(self, data: bytes, pos: int, end: int, taken: list[Taken]) -> int:
        """Take one packet that the lane leaves; return where to go on, the end if nothing more is read."""
        stop = 0
        try:
            stop = _end(data, pos, end)
            if not self._is_whole(data, pos, stop):
                self._rest += data[pos:]
                self._need = stop - pos if stop else end - pos + 1
                return end
            self._slow(data, pos, stop, taken)
        except MqttError as error:
            error.packet = data[pos : min(pos + EVIDENCE, stop if stop > 0 else end)]
            self.error = error
            self.over = True
            return end
        if self.ended:
            self.over = True
            return end
        return stop

    def _is_whole(self, data: bytes, pos: int, stop: int) -> bool:
        """Check what a packet's first bytes tell, in the order in which they come."""
        if not self.version and data[pos] != 0x10:
            raise MqttError(Reason.PROTOCOL_ERROR, "the first packet is not a CONNECT")
        if stop < 0:
            raise malformed("a remaining length has more than four bytes, or more than it needs")
        if stop - pos > self._max_packet_size:
            raise MqttError(
                Reason.PACKET_TOO_LARGE,
                f"a packet has {stop - pos} bytes, the limit is {self._max_packet_size}",
            )
        return 0 < stop <= len(data)

    def _slow(self, data: bytes, pos: int, stop: int, taken: list[Taken]) -> None:
        """Decode one packet with every check."""
        first = data[pos]
        start = pos + 2
        while data[start - 1] > 0x7F:
            start += 1
        if not self.version:
            self._take_version(protocol_version(data, start, stop))
        packet = self._accept(decode_body(first, Reader(data, start, stop), self.version))
        if isinstance(packet, Publish):
            self._remember(data, start)
        taken.append(packet)

    def _take_version(self, level: int) -> None:
        self.version = 5 if level >= 5 else 4  # the nearest one words the refusal
        if level not in {4, 5}:
            raise MqttError(
                Reason.UNSUPPORTED_PROTOCOL_VERSION, f"protocol level {level}; 4 and 5 are served"
            )

    def _accept(self, packet: Packet) -> Packet:
        """Check a packet against the connection's state, as sessions do; what the lane takes skips it."""
        return packet

    def _remember(self, data: bytes, start: int) -> None:
        length = data[start] << 8 | data[start + 1]
        if 0 < length <= CACHED_BYTES:
            key = data[start : start + 2 + length]
            if key not in self._topics:
                if len(self._topics) >= TOPICS_CACHED:
                    self._topics.clear()
                self._topics[key] = key[2:].decode()


def packet_of(taken: Taken) -> Packet:
    """Return the packet that stands for what the lane has taken; any other is itself."""
    if isinstance(taken, int):
        return Puback(taken)
    if isinstance(taken, tuple):
        topic, payload, qos, identity = taken
        return Publish(topic, payload, qos, False, int.from_bytes(identity, "big"))
    return taken


def _end(data: bytes, pos: int, end: int) -> int:
    """Return where a packet ends; 0: its length is not all there, -1: its length is malformed."""
    if pos + 1 >= end:
        return 0
    length = data[pos + 1]
    if length < 0x80:
        return pos + 2 + length
    start, length = _long_length(data, pos + 2, end)
    return start + length


def _long_length(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Read a remaining length of two to four bytes; return where the body starts, and the length.

    The two add up to 0 where it is not all there and to -1 where it is malformed.
    """
    length = data[start - 1] & 0x7F
    for shift in (7, 14, 21):
        if start >= end:
            return 0, 0
        byte = data[start]
        start += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (start, length) if byte else (0, -1)
    return 0, -1
