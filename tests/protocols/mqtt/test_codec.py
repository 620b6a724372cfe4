"""Bytes and packets: the standards' own examples, and every packet there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Decoder,
    Disconnect,
    MqttError,
    Packet,
    Properties,
    Puback,
    Publish,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Unsubscribe,
    Will,
    encode,
)
from rimward.protocols.mqtt import properties as props
from rimward.protocols.mqtt.encoding import plain_publish, plain_publish_1, puback
from rimward.protocols.mqtt.fields import string, varint

from . import strategies

LIMIT = 1 << 20


def decoded(data: bytes, version: int) -> Packet:
    decoder = Decoder(LIMIT, version=version)
    packets = decoder.feed(data)
    assert decoder.error is None, decoder.error
    assert len(packets) == 1
    return packets[0]


def refused(data: bytes, version: int = 5) -> tuple[Reason, str]:
    decoder = Decoder(LIMIT, version=version)
    assert decoder.feed(data) == []
    assert decoder.error is not None
    return decoder.error.reason, decoder.error.detail


# The bytes are written out from the figures of the two standards, sections 3.1 to 3.14.
GOLDEN: list[tuple[int, str, Packet]] = [
    (4, "10 0e 00 04 4d515454 04 02 003c 00 02 6131", Connect("a1", keep_alive=60)),
    (
        4,  # 3.1.1 figure 3.6 asks for all of it: user name, password, will with QoS 1, clean session
        "10 1d 00 04 4d515454 04 ce 000a 00 01 63 00 03 612f62 00 02 6869 00 01 75 00 02 7077",
        Connect("c", 4, True, 10, "u", b"pw", Will("a/b", b"hi", 1)),
    ),
    (
        5,
        "10 15 00 04 4d515454 05 02 0000 05 11 0000000a 00 03 616263",
        Connect("abc", 5, properties=Properties(session_expiry=10)),
    ),
    (4, "20 02 01 00", Connack(session_present=True)),
    (4, "20 02 00 05", Connack(reason=5)),
    (5, "20 06 00 00 03 21 0014", Connack(properties=Properties(receive_maximum=20))),
    (4, "30 07 00 03 612f62 6869", Publish("a/b", b"hi")),
    (4, "32 07 00 03 612f62 000a", Publish("a/b", b"", 1, packet_id=10)),  # figure 3.11
    (5, "3d 0a 00 03 612f62 000a 00 6869", Publish("a/b", b"hi", 2, retain=True, packet_id=10, dup=True)),
    (
        5,
        "30 10 0001 61 0a 23 0001 26 0001 6b 0001 76 6869",
        Publish("a", b"hi", properties=Properties(user=(("k", "v"),), topic_alias=1)),
    ),
    (4, "40 02 000a", Puback(10)),
    (5, "40 02 000a", Puback(10)),
    (5, "40 03 000a 10", Puback(10, 0x10)),
    (
        4,
        "82 0e 000a 0003 612f62 01 0003 632f64 02",
        Subscribe(10, (Subscription("a/b", 1), Subscription("c/d", 2))),
    ),
    (5, "82 09 000a 00 0003 612f62 2d", Subscribe(10, (Subscription("a/b", 1, True, True, 2),))),
    (4, "90 05 000a 00 02 80", Suback(10, (0, 2, 0x80))),
    (4, "a2 0c 000a 0003 612f62 0003 632f64", Unsubscribe(10, ("a/b", "c/d"))),
    (4, "e0 00", Disconnect()),
    (5, "e0 01 04", Disconnect(0x04)),
    (5, "e0 06 00 04 1f 0001 78", Disconnect(0, Properties(reason_string="x"))),
]


@pytest.mark.parametrize(("version", "text", "packet"), GOLDEN)
def test_packets_are_the_bytes_that_the_standards_draw(version: int, text: str, packet: Packet) -> None:
    data = bytes.fromhex(text)
    assert decoded(data, version) == packet
    assert encode(packet, version) == data


@pytest.mark.parametrize("version", [4, 5])
@given(data=st.data())
def test_every_packet_comes_back_as_it_went(version: int, data: st.DataObject) -> None:
    packet = data.draw(strategies.packets(version))
    assert decoded(encode(packet, version), version) == packet


@given(st.sampled_from(props.TABLE), st.data())
def test_every_property_comes_back_as_it_went(line: props.Property, data: st.DataObject) -> None:
    where = data.draw(st.sampled_from(sorted(line.where)))
    found = Properties(**{line.name: data.draw(strategies.value(line))})
    body = props.encode(found)
    assert props.decode(props.Reader(body, 0, len(body)), where) == found


@pytest.mark.parametrize(
    ("size", "data"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (268_435_455, "ffffff7f")],
)
def test_a_length_takes_one_to_four_bytes(size: int, data: str) -> None:
    assert varint(size) == bytes.fromhex(data)


def test_no_packet_is_longer_than_four_length_bytes_can_say() -> None:
    with pytest.raises(MqttError, match="268435455"):
        varint(268_435_456)


@given(st.integers(0, 300), st.sampled_from([4, 5]))
def test_the_short_ways_to_encode_give_the_same_bytes(size: int, version: int) -> None:
    payload, tail = b"x" * size, b"\0" if version == 5 else b""
    assert plain_publish(string("a/b") + tail, payload) == encode(Publish("a/b", payload), version)
    numbered = plain_publish_1(string("a/b"), b"\0\x07" + tail, payload)
    assert numbered == encode(Publish("a/b", payload, 1, packet_id=7), version)
    assert puback(7) == encode(Puback(7), version)


MALFORMED: list[tuple[str, int, str]] = [
    ("a reserved packet type", 5, "00 00"),
    ("AUTH in 3.1.1", 4, "f0 00"),
    ("flags on a PUBACK", 5, "41 02 0001"),
    ("flags missing on a SUBSCRIBE", 5, "80 08 000a 00 0003 612f62"),
    ("QoS 3", 4, "36 07 00 03 612f62 0001"),
    ("a duplicate at QoS 0", 4, "38 05 00 03 612f62"),
    ("a topic longer than its packet", 4, "30 04 00 09 6162"),
    ("a topic that is not UTF-8", 4, "30 04 00 02 c328"),
    ("a surrogate in a topic", 4, "30 05 00 03 eda080"),
    ("a NUL in a topic", 4, "30 04 00 02 6100"),
    ("a PUBACK without an id", 4, "40 00"),
    ("a PUBACK that is too long for 3.1.1", 4, "40 03 0001 00"),
    ("an unknown reason code", 5, "40 03 0001 7f"),
    ("PINGREQ with a body", 5, "c0 01 00"),
    ("a property that does not exist", 5, "e0 03 00 01 7e"),
    ("a property in the wrong packet", 5, "e0 05 00 03 21 0001"),
    ("properties longer than their packet", 5, "e0 03 00 7f 1f"),
    ("a property cut short", 5, "e0 05 00 03 1f 00 05"),
    ("a property length that is too long", 5, "e0 03 00 80 00"),
    ("subscription options with reserved bits", 5, "82 09 000a 00 0003 612f62 c1"),
    ("retain handling 3", 5, "82 09 000a 00 0003 612f62 30"),
    ("subscription options of MQTT 5 in 3.1.1", 4, "82 08 000a 0003 612f62 04"),
    ("an empty topic filter", 4, "82 05 000a 0000 01"),
    ("a CONNECT with its reserved flag set", 4, "10 0d 0004 4d515454 04 03 003c 0001 61"),
    ("a will QoS without a will", 4, "10 0d 0004 4d515454 04 0a 003c 0001 61"),
    ("a password without a user name in 3.1.1", 4, "10 10 0004 4d515454 04 42 003c 0001 61 0001 70"),
    ("a remaining length of five bytes", 5, "30 ffffffff01"),
    ("a remaining length longer than it needs to be", 5, "c0 80 00"),
]


@pytest.mark.parametrize(("what", "version", "text"), MALFORMED)
def test_a_malformed_packet_is_called_so(what: str, version: int, text: str) -> None:
    reason, detail = refused(bytes.fromhex(text), version)
    assert reason is Reason.MALFORMED_PACKET, f"{what}: {detail}"


MQTT5 = "0004 4d515454 05 02"  # name, version and flags of a CONNECT
BROKEN = Reason.PROTOCOL_ERROR
BROKEN_RULES: list[tuple[str, Reason, str]] = [
    (
        "a property that stands twice",
        BROKEN,
        "10 14 MQTT5 0000 06 21 0001 21 0001 0001 61",
    ),
    ("a Receive Maximum of 0", BROKEN, "10 11 MQTT5 0000 03 21 0000 0001 61"),
    (
        "a Maximum Packet Size of 0",
        BROKEN,
        "10 13 MQTT5 0000 05 27 00000000 0001 61",
    ),
    ("a boolean of 2", BROKEN, "10 10 MQTT5 0000 02 17 02 0001 61"),
    (
        "authentication data alone",
        BROKEN,
        "10 12 MQTT5 0000 04 16 0001 61 0001 61",
    ),
    ("a payload format of 2", BROKEN, "30 06 0001 61 02 01 02"),
    ("topic alias 0", Reason.TOPIC_ALIAS_INVALID, "30 07 0001 61 03 23 0000"),
    ("no topic and no alias", BROKEN, "30 03 0000 00"),
    ("a wildcard in a topic name", Reason.TOPIC_NAME_INVALID, "30 06 0003 612f23 00"),
    ("a wildcard in a response topic", BROKEN, "30 08 0001 61 04 08 0001 2b"),
    ("packet id 0", BROKEN, "32 06 0001 61 0000 00"),
    ("a SUBSCRIBE without a filter", BROKEN, "82 03 000a 00"),
    ("an UNSUBSCRIBE without a filter", BROKEN, "a2 03 000a 00"),
    ("# in the middle of a filter", Reason.TOPIC_FILTER_INVALID, "82 09 000a 00 0003 232f61 00"),
    ("+ as a part of a level", Reason.TOPIC_FILTER_INVALID, "82 09 000a 00 0003 612b62 00"),
    (
        "No Local on a shared subscription",
        BROKEN,
        "82 10 000a 00 000a 24736861 72652f61 2f62 04",
    ),
    ("subscription identifier 0", BROKEN, "82 09 000a 02 0b00 0001 61 00"),
]


@pytest.mark.parametrize(("what", "expected", "text"), BROKEN_RULES)
def test_a_broken_rule_of_mqtt_5_has_its_own_reason(what: str, expected: Reason, text: str) -> None:
    reason, detail = refused(bytes.fromhex(text.replace("MQTT5", MQTT5)))
    assert reason is expected, f"{what}: {detail}"


def test_more_properties_than_the_limit_are_refused() -> None:
    pairs = tuple(("k", str(n)) for n in range(65))
    reason, detail = refused(encode(Publish("a", b"", properties=Properties(user=pairs)), 5))
    assert reason is Reason.QUOTA_EXCEEDED
    assert "64" in detail


def test_what_the_protocol_cannot_say_is_not_encoded() -> None:
    for packet in (
        Publish("a" * 65_536, b""),
        Publish("a\0", b""),
        Publish("\ud800", b""),
        Publish("a", b"", properties=Properties(receive_maximum=0)),
        Publish("a", b"", properties=Properties(message_expiry=1 << 32)),
        Publish("a", b"", properties=Properties(topic_alias=0x1_0000)),
    ):
        with pytest.raises(MqttError):
            encode(packet, 5)
