"""Topic names and filters, against rules written down the plain way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.mqtt import MqttError, Subscriptions, TopicTree
from rimward.protocols.mqtt.subscriptions import Match, Options
from rimward.protocols.mqtt.topics import check_filter, check_name, matches, problem, too_large


def joined(parts: tuple[list[str], list[str]]) -> str:
    return "/".join(parts[0] + parts[1])


levels = st.sampled_from(["a", "b", "", "$x"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join).filter(bool)
tails: st.SearchStrategy[list[str]] = st.sampled_from([[], ["#"]])
filters = st.tuples(st.lists(levels | st.just("+"), max_size=4), tails).map(joined).filter(bool)


def fits(topic_filter: str, topic: str) -> bool:
    """Match by the words of section 4.7, level by level."""
    if topic[0] == "$" and topic_filter[0] in "+#":
        return False
    wanted, found = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(w in {"+", f} for w, f in zip(wanted, found, strict=True))


# The standard's own examples [4.7.1.2, 4.7.1.3, 4.7.2].
EXAMPLES = [
    ("sport/tennis/player1/#", "sport/tennis/player1", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/ranking", True),
    ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
    ("sport/#", "sport", True),
    ("#", "a/b/c", True),
    ("sport/tennis/+", "sport/tennis/player1", True),
    ("sport/tennis/+", "sport/tennis/player1/ranking", False),
    ("sport/+", "sport", False),
    ("sport/+", "sport/", True),
    ("+/+", "/finance", True),
    ("/+", "/finance", True),
    ("+", "/finance", False),
    ("#", "$SYS/monitor/Clients", False),
    ("+/monitor/Clients", "$SYS/monitor/Clients", False),
    ("$SYS/#", "$SYS/monitor/Clients", True),
    ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
    ("accounts", "Accounts", False),
]


@pytest.mark.parametrize(("topic_filter", "topic", "expected"), EXAMPLES)
def test_the_standards_examples_match_as_it_says(topic_filter: str, topic: str, *, expected: bool) -> None:
    found: Subscriptions[str] = Subscriptions()
    found.add(topic_filter, "s", Options())
    assert (
        bool(found.match(topic).deliveries)
        is matches(topic_filter, topic)
        is fits(topic_filter, topic)
        is expected
    )


@given(st.lists(st.tuples(filters, st.integers(0, 3), st.integers(0, 1), st.booleans())), topics)
def test_the_tree_finds_whom_a_plain_search_finds(
    wishes: list[tuple[str, int, int, bool]], topic: str
) -> None:
    tree: Subscriptions[int] = Subscriptions()
    table: dict[tuple[str, int], Options] = {}
    for topic_filter, subscriber, qos, no_local in wishes:
        options = Options(qos, no_local)
        assert tree.add(topic_filter, subscriber, options) is ((topic_filter, subscriber) not in table)
        table[topic_filter, subscriber] = options
    expected: dict[int, list[Options]] = {}
    for (topic_filter, subscriber), options in table.items():
        if fits(topic_filter, topic):
            expected.setdefault(subscriber, []).append(options)
    found = {delivery.subscriber: delivery for delivery in tree.match(topic).deliveries}
    assert found.keys() == expected.keys()
    for subscriber, wanted in expected.items():
        assert found[subscriber].qos == max(options.qos for options in wanted)
        own = [options.qos for options in wanted if not options.no_local]
        assert found[subscriber].own_qos == max(own, default=-1)


@given(st.lists(filters, unique=True), topics)
def test_a_tree_is_empty_again_when_all_have_left(wishes: list[str], topic: str) -> None:
    tree: Subscriptions[str] = Subscriptions()
    for topic_filter in wishes:
        tree.add(topic_filter, "s", Options())
    for topic_filter in wishes:
        assert tree.remove(topic_filter, "s")
        assert not tree.remove(topic_filter, "s")
    assert tree.match(topic) == Match()
    assert tree.size == 0
    assert tree._root.is_empty()
    assert not tree._exact


@given(st.dictionaries(topics, st.integers()), filters, st.data())
def test_values_are_found_by_filter(stored: dict[str, int], topic_filter: str, data: st.DataObject) -> None:
    tree: TopicTree[int] = TopicTree()
    for topic, value in stored.items():
        tree.put(topic, value)
    for topic in data.draw(st.sets(st.sampled_from(sorted(stored)))) if stored else set[str]():
        tree.remove(topic)
        del stored[topic]
    assert all(tree.get(topic) == value for topic, value in stored.items())
    expected = sorted(value for topic, value in stored.items() if fits(topic_filter, topic))
    assert sorted(tree.find(topic_filter)) == expected
    for topic in stored:
        tree.remove(topic)
    assert not tree._root.below


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "a" * 65_536])
def test_names_that_the_standard_forbids_are_refused(topic: str) -> None:
    with pytest.raises(MqttError):
        check_name(topic)


@pytest.mark.parametrize("topic_filter", ["", "a#", "#/a", "a/#/b", "+a", "a/b+", "a\0"])
def test_filters_that_the_standard_forbids_are_refused(topic_filter: str) -> None:
    with pytest.raises(MqttError):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic_filter", ["#", "+", "+/+/#", "/", "//", "a/+/#", " ", "/finance"])
def test_filters_that_the_standard_allows_are_taken(topic_filter: str) -> None:
    assert check_filter(topic_filter) == topic_filter


def test_a_node_refuses_topics_of_its_own_and_hidden_slashes_and_giants() -> None:
    assert problem("trucks/7/temperature") is None
    assert problem("$SYS/x") is not None
    assert problem("trucks/7%2Fchiller") is not None
    assert problem("a/" * 31 + "a") is None
    assert "32" in (problem("a/" * 32 + "a") or "")
    assert too_large("é" * 512) is None
    assert "1024" in (too_large("é" * 513) or "")
