"""A byte stream cut into packets, however the network has cut it into reads."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import Connect, Decoder, Packet, Puback, Publish, Reason, encode

from . import strategies

LIMIT = 200


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def read(data: list[bytes], version: int, *, fast: bool = True) -> tuple[list[Packet], Reason | None, str]:
    decoder = Decoder(LIMIT, version=version)
    if fast:
        decoder.open_lane()
    packets = [packet for piece in data for packet in decoder.feed(piece)]
    return packets, decoder.error and decoder.error.reason, decoder.error.detail if decoder.error else ""


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, bytes]:
    """Packets of one version, some of them damaged."""
    version = draw(st.sampled_from([4, 5]))
    packets = draw(st.lists(strategies.packets(version) | strategies.publishes(version, 1), max_size=5))
    packets += draw(st.lists(st.sampled_from(packets), max_size=3)) if packets else []
    data = bytearray(b"".join(encode(packet, version) for packet in packets))
    for place, byte in draw(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=2)):
        if data:
            data[place % len(data)] = byte
    return version, bytes(data)


@given(streams(), st.lists(st.integers(0), max_size=6))
def test_cutting_the_stream_anywhere_changes_nothing(stream: tuple[int, bytes], cuts: list[int]) -> None:
    version, data = stream
    assert read(pieces(data, cuts), version) == read([data], version)


@given(streams())
def test_the_lane_reads_what_the_long_way_reads(stream: tuple[int, bytes]) -> None:
    version, data = stream
    assert read([data], version) == read([data], version, fast=False)


@given(st.sampled_from([0, 4, 5]), st.binary(max_size=60), st.lists(st.integers(0), max_size=3))
def test_random_bytes_never_raise(version: int, data: bytes, cuts: list[int]) -> None:
    assert read(pieces(data, cuts), version) == read([data], version)


@given(st.sampled_from([4, 5]), st.binary(max_size=30), st.data())
def test_random_bytes_behind_a_good_packet_do_not_take_it_back(
    version: int, data: bytes, draw: st.DataObject
) -> None:
    packet = draw.draw(strategies.publishes(version, 1))
    packets, _, _ = read([encode(packet, version) + data], version)
    assert packets[0] == packet


def test_a_thousand_packets_of_one_read_come_out_together() -> None:
    decoder = Decoder(LIMIT, version=4)
    packets = [Publish(f"a/{n % 7}", b"x", 1, packet_id=n + 1) for n in range(1000)]
    assert decoder.feed(b"".join(encode(packet, 4) for packet in packets)) == packets


def test_a_packet_over_the_limit_is_refused_by_its_first_bytes() -> None:
    decoder = Decoder(LIMIT, version=5)
    assert decoder.feed(b"\x30\xff\x7f") == []
    assert decoder.error is not None
    assert decoder.error.reason is Reason.PACKET_TOO_LARGE
    assert "the limit is 200" in decoder.error.detail


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_the_limit_counts_the_whole_packet(size: int) -> None:
    data = encode(Publish("a", b"x" * (size - 6)), 4)
    assert len(data) == size
    packets, reason, _ = read([data], 4)
    assert (len(packets), reason) == ((1, None) if size == LIMIT else (0, Reason.PACKET_TOO_LARGE))


def test_the_first_packet_must_be_a_connect() -> None:
    for data in (b"\xc0\x00", b"G", b"\x16\x03\x01", b"\x30"):
        _, reason, detail = read([data], 0)
        assert reason is Reason.PROTOCOL_ERROR
        assert detail == "the first packet is not a CONNECT"


def test_a_connect_tells_the_version_of_what_follows() -> None:
    data = encode(Connect("a", 5), 5) + encode(Puback(7, 0x10), 5)
    assert read([data], 0)[0] == [Connect("a", 5), Puback(7, 0x10)]


@pytest.mark.parametrize(("name", "level"), [(b"\0\x06MQIsdp", 3), (b"\0\x04MQTT", 3), (b"\0\x04MQTT", 6)])
def test_other_versions_are_named_as_such(name: bytes, level: int) -> None:
    body = name + bytes((level, 2, 0, 0, 0, 0))
    _, reason, _ = read([bytes((0x10, len(body))) + body], 0)
    assert reason is Reason.UNSUPPORTED_PROTOCOL_VERSION


def test_a_broken_packet_is_kept_for_the_dead_letters() -> None:
    decoder = Decoder(LIMIT, version=4)
    bad = b"\x30\x05\x00\x02\xff\xfex"
    decoder.feed(encode(Publish("a", b""), 4) + bad + b"\xc0\x00")
    assert decoder.error is not None
    assert decoder.error.packet == bad


def test_topics_are_remembered_up_to_a_bound() -> None:
    topics: dict[bytes, str] = {}
    decoder = Decoder(1 << 20, version=4, topics=topics)
    decoder.feed(b"".join(encode(Publish(f"t/{n}", b""), 4) for n in range(20_000)))
    decoder.feed(encode(Publish("x" * 257, b""), 4))
    assert 0 < len(topics) <= 16_384
    assert all(len(topic) <= 256 for topic in topics.values())
