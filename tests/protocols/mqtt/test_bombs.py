"""Packets that cost a server more than their sender: what it keeps of them stays within its limits."""

import tracemalloc
from collections.abc import Iterable

import pytest

from rimward.protocols.mqtt import (
    Connect,
    Properties,
    Publish,
    Reason,
    ServerSession,
    SessionLimits,
    encode,
)

LIMITS = SessionLimits(topic_alias_maximum=32)
KEPT = 64 << 10  # bytes that a connection's 32 aliases of 1,024 bytes may take, with all that is around them


def connected() -> ServerSession:
    session = ServerSession(0.0, LIMITS)
    session.receive_data(encode(Connect("bomb", 5), 5), 0.0)
    session.accept()
    session.data_to_send()
    return session


def growth(session: ServerSession, packets: Iterable[bytes]) -> int:
    """Return the bytes that a session keeps of packets that are answered and forgotten."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for packet in packets:
        session.receive_data(packet, 0.0)
        session.data_to_send()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert session.error is None, session.error
    return grown


def aliased(number: int, alias: int, length: int) -> bytes:
    topic = f"{number:08}".ljust(length, "x")
    return encode(Publish(topic, b"", 0, False, 0, False, Properties(topic_alias=alias)), 5)


def test_aliases_that_are_set_again_and_again_keep_no_more_than_so_many_topics() -> None:
    session = connected()
    bomb = (aliased(number, number % 32 + 1, 1024) for number in range(2_000))
    assert growth(session, bomb) < KEPT


def test_a_topic_that_the_node_does_not_take_gets_no_alias() -> None:
    session = connected()
    session.receive_data(aliased(1, 1, 60_000), 0.0)
    session.data_to_send()
    assert session.error is not None
    assert session.error.reason == Reason.TOPIC_NAME_INVALID
    assert "the limit is 1024: it can't have an alias" in session.error.detail


def test_one_alias_more_than_was_offered_ends_the_connection() -> None:
    session = connected()
    session.receive_data(aliased(1, 33, 10), 0.0)
    assert session.error is not None
    assert session.error.reason == Reason.TOPIC_ALIAS_INVALID


@pytest.mark.parametrize("pairs", [1, 64])
def test_user_properties_are_gone_with_their_packet(pairs: int) -> None:
    session = connected()
    user = tuple((f"{number:03}" + "k" * 500, "v" * 500) for number in range(pairs))
    packet = encode(Publish("t", b"", 0, False, 0, False, Properties(user=user)), 5)
    assert growth(session, (packet for _ in range(500))) < KEPT


def test_more_properties_than_one_packet_may_have_end_the_connection_before_they_are_all_read() -> None:
    session = connected()
    packet = encode(Publish("t", b"", 0, False, 0, False, Properties(user=(("k", "v"),) * 20_000)), 5)
    tracemalloc.start()
    session.receive_data(packet, 0.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert session.error is not None
    assert session.error.reason == Reason.QUOTA_EXCEEDED
    assert peak < 3 * len(packet), "all pairs as objects would take some twenty times as much"
