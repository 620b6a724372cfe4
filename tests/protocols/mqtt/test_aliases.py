"""Topic aliases towards a client, read back by a decoder that keeps them as a client does."""

from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import Properties, Publish, encode
from rimward.protocols.mqtt.aliases import Aliases

from .strategies import decoded, payloads, texts, topics

messages = st.builds(
    Publish,
    st.sampled_from(["a", "a/b", "c/d/e", "ü", "f" * 300]) | topics,
    payloads,
    st.integers(0, 2),
    st.booleans(),
    st.just(5),
    properties=st.none() | st.builds(Properties, content_type=texts, subscription_ids=st.just((1, 300))),
).map(lambda p: p if p.qos else Publish(p.topic, p.payload, 0, p.retain, properties=p.properties))


def understood(packet: Publish, known: dict[int, str], maximum: int) -> Publish:
    """Put in the topic that an alias stands for, by the words of 3.3.2.3.4."""
    if packet.properties is None or packet.properties.topic_alias is None:
        return packet
    alias = packet.properties.topic_alias
    assert 1 <= alias <= maximum
    if packet.topic:
        known[alias] = packet.topic
    properties: Properties | None = Properties(
        content_type=packet.properties.content_type, subscription_ids=packet.properties.subscription_ids
    )
    if properties == Properties():
        properties = None
    topic = known[alias]
    return Publish(topic, packet.payload, packet.qos, packet.retain, packet.packet_id, packet.dup, properties)


@given(st.lists(messages, max_size=40), st.integers(1, 4), st.sampled_from([0, 40]))
def test_a_client_understands_every_packet_as_it_was(packets: list[Publish], maximum: int, room: int) -> None:
    aliases, known = Aliases(maximum), dict[int, str]()
    for packet in packets:
        data = encode(packet, 5)
        sent = aliases.apply(data, room)
        assert len(sent) <= max(len(data), room) if room else True
        found = decoded(sent, 5)
        assert isinstance(found, Publish)
        assert understood(found, known, maximum) == packet


def test_a_topic_that_comes_again_is_not_sent_again() -> None:
    aliases = Aliases(2)
    topic = "site/7/machine/temperature"
    data = encode(Publish(topic, b"1"), 5)
    assert topic.encode() in aliases.apply(data)
    again = aliases.apply(data)
    assert topic.encode() not in again
    assert len(again) == len(data) - len(topic) + 3


def test_topics_that_come_once_do_not_drive_out_those_that_come_again() -> None:
    aliases = Aliases(16)
    shortened = 0
    for number in range(1000):
        for topic in (f"once/{number}", f"again/{number % 8}"):
            data = encode(Publish(topic, b"x"), 5)
            shortened += len(aliases.apply(data)) < len(data)
    assert shortened > 980


def test_when_the_topics_change_the_aliases_follow() -> None:
    aliases = Aliases(8)
    for era in range(3):
        shortened = 0
        for number in range(400):
            data = encode(Publish(f"era/{era}/topic/{number % 8}", b"x"), 5)
            shortened += len(aliases.apply(data)) < len(data)
        assert shortened > 300
