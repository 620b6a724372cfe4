"""Shared subscriptions and subscription identifiers, without sockets."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import MqttError, Publish, Subscriptions
from rimward.protocols.mqtt.outgoing import message
from rimward.protocols.mqtt.subscriptions import Delivery, Group, Options
from rimward.protocols.mqtt.topics import split_shared

from .strategies import decoded


def group_of(*members: str) -> Group[str]:
    group: Group[str] = Group("g", "t")
    for member in members:
        group.add(member, Options(1))
    return group


def picks(group: Group[str], loads: dict[str, int], count: int) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        delivery = group.pick(lambda member: loads[member])
        assert delivery is not None
        found.append(delivery.subscriber)
    return found


def test_members_take_turns() -> None:
    group = group_of("a", "b", "c")
    assert picks(group, dict.fromkeys("abc", 0), 7) == ["a", "b", "c", "a", "b", "c", "a"]


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 2), min_size=1), st.integers(0, 20))
def test_no_member_gets_a_message_while_another_has_less_to_do(loads: dict[str, int], turns: int) -> None:
    group = group_of(*loads)
    for member in picks(group, loads, turns):
        assert loads[member] == min(loads.values())


@given(st.integers(1, 6), st.integers(1, 5))
def test_turns_are_even(members: int, rounds: int) -> None:
    names = [str(number) for number in range(members)]
    found = Counter(picks(group_of(*names), dict.fromkeys(names, 0), members * rounds))
    assert set(found.values()) == {rounds}


def test_members_come_and_go_between_turns() -> None:
    group = group_of("a", "b")
    loads = dict.fromkeys("abc", 0)
    assert picks(group, loads, 1) == ["a"]
    assert group.remove("a")
    assert not group.remove("a")
    assert picks(group, loads, 2) == ["b", "b"]
    assert group.add("c", Options(0))
    assert not group.add("c", Options(1))
    assert set(picks(group, loads, 2)) == {"b", "c"}
    group.remove("b")
    group.remove("c")
    assert group.pick(lambda _: 0) is None


@pytest.mark.parametrize("wanted", ["t/x", "t/+", "t/#", "#"])
def test_a_message_goes_to_each_group_once_and_to_everyone_else(wanted: str) -> None:
    tree: Subscriptions[str] = Subscriptions()
    for member in ("a", "b"):
        assert tree.add(f"$share/one/{wanted}", member, Options(1))
    tree.add(f"$share/two/{wanted}", "a", Options(1))
    tree.add(wanted, "a", Options(0))
    found = tree.match("t/x")
    assert [delivery.subscriber for delivery in found.deliveries] == ["a"]
    assert sorted((group.name, len(group)) for group in found.groups) == [("one", 2), ("two", 1)]
    assert tree.group(f"$share/one/{wanted}") in found.groups
    assert tree.group(f"$share/three/{wanted}") is None
    for share, member in (("one", "a"), ("one", "b"), ("two", "a")):
        assert tree.remove(f"$share/{share}/{wanted}", member)
        assert not tree.remove(f"$share/{share}/{wanted}", member)
    assert tree.match("t/x").groups == ()
    tree.remove(wanted, "a")
    assert tree.size == 0


@pytest.mark.parametrize(
    ("topic_filter", "parts"),
    [
        ("a/+", (None, "a/+")),
        ("$share", (None, "$share")),
        ("$share/g/a/+", ("g", "a/+")),
        ("$share/g//x", ("g", "/x")),
        ("$share/g/$SYS/#", ("g", "$SYS/#")),
    ],
)
def test_a_shared_filter_is_a_name_and_a_filter(topic_filter: str, parts: tuple[str | None, str]) -> None:
    assert split_shared(topic_filter) == parts


@pytest.mark.parametrize(
    "topic_filter", ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/#"]
)
def test_a_share_name_is_at_least_one_character_without_wildcards(topic_filter: str) -> None:
    with pytest.raises(MqttError, match="share"):
        split_shared(topic_filter)
    tree: Subscriptions[str] = Subscriptions()
    with pytest.raises(MqttError):
        tree.add(topic_filter, "a", Options())


def test_overlapping_subscriptions_are_one_delivery_with_every_identifier() -> None:
    tree: Subscriptions[str] = Subscriptions()
    tree.add("a/b", "s", Options(0, identifier=7))
    tree.add("a/+", "s", Options(1, no_local=True, identifier=8))
    tree.add("a/#", "s", Options(0, retain_as_published=True))
    (delivery,) = tree.match("a/b").deliveries
    assert delivery == Delivery("s", 1, 0, True, delivery.identifiers, (7,))
    assert sorted(delivery.identifiers) == [7, 8]


@given(
    st.lists(st.integers(1, 268_435_455), max_size=3).map(tuple),
    st.binary(max_size=200),
    st.sampled_from([0.0, 130.0]),
    st.sampled_from([0, 1]),
)
def test_identifiers_stand_in_the_packet_with_all_else_as_it_was(
    identifiers: tuple[int, ...], payload: bytes, expires: float, qos: int
) -> None:
    outgoing = message("t", payload, 1, retain=False)
    outgoing.expires_at = expires
    marked = outgoing.marked(identifiers)
    data = marked.numbered(5, 9, retain=False, now=100.0) if qos else marked.plain(5, retain=False, now=100.0)
    packet = decoded(data, 5)
    assert isinstance(packet, Publish)
    assert (packet.topic, packet.payload, packet.qos) == ("t", payload, qos)
    properties = packet.properties
    assert ((properties and properties.subscription_ids) or ()) == identifiers
    assert (properties and properties.message_expiry) == (30 if expires else None)
    assert marked.plain(4, retain=False, now=100.0) == outgoing.plain(4, retain=False, now=100.0)


@pytest.mark.parametrize(
    "shape",
    [
        "exact/{0}/of/some/levels",
        "wild/{0}/+/of/{0}/levels/#",
        "{0}/{0}/{0}/{0}/{0}/{0}/{0}/{0}/+",
        "+/+/+/{0}/+",
        "#/{0}",
        "$share/group-{0}/a/+/{0}",
        "$share/group/{0}",
        "{0}" + "x" * 200 + "/#",
    ],
)
def test_what_subscriptions_take_is_never_more_than_their_size_says(shape: str) -> None:
    shape = shape.replace("#/{0}", "#")
    tree: Subscriptions[int] = Subscriptions()
    filters = [shape.format(number) for number in range(2000)]
    tree.match("warm/up")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number, topic_filter in enumerate(filters):
        size = tree.size
        tree.add(topic_filter, number, Options(1, identifier=number + 1))
        assert tree.size <= size + Subscriptions.most(topic_filter)
    tree.match("warm/up")
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before <= tree.size
    for number, topic_filter in enumerate(filters):
        tree.remove(topic_filter, number)
    assert tree.size == 0
