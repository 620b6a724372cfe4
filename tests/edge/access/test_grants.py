"""Patterns: what they cover, what they have in common with a filter, and what is no pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.edge.access.grants import (
    Action,
    Grants,
    Patterns,
    Who,
    path_problem,
    pattern_problem,
    placeholders_of,
    request_problem,
)
from rimward.protocols.mqtt import MqttError
from rimward.protocols.mqtt.topics import check_filter, matches

TRUCK = Who("truck-1", "fleet")
NOBODY = Who(None, None)
LEVELS = st.sampled_from(["a", "b", "$c", "", "truck-1", "fleet"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
PATTERNS = (
    st.lists(LEVELS | st.sampled_from(["+", "{client}", "{user}", "#"]), min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda text: bool(text) and "#" not in text[:-1])
)


def filled(pattern: str) -> str:
    return pattern.replace("{client}", "truck-1").replace("{user}", "fleet")


@given(st.lists(PATTERNS, max_size=4), TOPICS)
def test_patterns_cover_what_the_filters_that_they_become_match(patterns: list[str], topic: str) -> None:
    grants = Grants([Patterns(publish=tuple(patterns))])
    assert grants.topic(Action.PUBLISH, topic, TRUCK) == any(matches(filled(one), topic) for one in patterns)


@given(st.lists(PATTERNS, max_size=3), PATTERNS, st.lists(TOPICS, max_size=20))
def test_a_filter_is_refused_only_where_no_topic_of_it_is_covered(
    patterns: list[str], wanted: str, topics: list[str]
) -> None:
    grants, wanted = Grants([Patterns(subscribe=tuple(patterns))]), filled(wanted)
    if not grants.filter(wanted, TRUCK):
        both = [topic for topic in topics if matches(wanted, topic)]
        assert not any(grants.topic(Action.RECEIVE, topic, TRUCK) for topic in both)


@pytest.mark.parametrize(
    ("pattern", "wanted", "granted"),
    [
        ("trucks/{client}/#", "#", True),
        ("trucks/{client}/#", "trucks/#", True),
        ("trucks/{client}/#", "trucks/truck-1/commands", True),
        ("trucks/{client}/#", "+/+/+", True),
        ("trucks/{client}/#", "trucks/truck-2/#", False),
        ("trucks/{client}/#", "boats/#", False),
        ("trucks/+/display", "trucks/+/+", True),
        ("trucks/+/display", "trucks/+/temperature", False),
        ("trucks/+/display", "trucks/+", False),
        ("#", "$SYS/#", False),
        ("$SYS/#", "$SYS/broker/load", True),
        ("$SYS/#", "#", False),
        ("$SYS/#", "+/broker", False),
        ("a/b", "a/b/#", True),
        ("{client}", "+", True),
    ],
)
def test_a_filter_is_granted_where_it_meets_a_pattern(pattern: str, wanted: str, *, granted: bool) -> None:
    assert Grants([Patterns(subscribe=(pattern,))]).filter(wanted, TRUCK) is granted


def test_who_has_no_name_gets_nothing_from_a_pattern_that_needs_one() -> None:
    grants = Grants(
        [Patterns(publish=("trucks/{client}/#", "of/{user}"), subscribe=("{client}/+", "{user}"))]
    )
    for topic in ("trucks/", "trucks/None/x", "of/", "of/None"):
        assert not grants.topic(Action.PUBLISH, topic, NOBODY)
    assert not grants.filter("#", NOBODY)
    assert not grants.topic(Action.PUBLISH, "of/", Who("truck-1", None))


def test_a_name_that_looks_like_a_placeholder_is_only_text() -> None:
    grants = Grants([Patterns(publish=("x/{client}-{user}",))])
    assert grants.topic(Action.PUBLISH, "x/{user}-u", Who("{user}", "u"))
    assert not grants.topic(Action.PUBLISH, "x/u-u", Who("{user}", "u"))


def test_a_placeholder_may_be_part_of_a_level() -> None:
    grants = Grants([Patterns(publish=("fleet/dev-{client}/state",))])
    assert grants.topic(Action.PUBLISH, "fleet/dev-truck-1/state", TRUCK)
    assert not grants.topic(Action.PUBLISH, "fleet/dev-truck-2/state", TRUCK)


def test_requests_are_allowed_by_method_and_path() -> None:
    grants = Grants([Patterns(request=("GET /trucks/{client}/#", "* /open", "POST /"))])
    assert grants.request("GET", ["trucks", "truck-1", "log"], TRUCK)
    assert not grants.request("POST", ["trucks", "truck-1", "log"], TRUCK)
    assert not grants.request("GET", ["trucks", "truck-2", "log"], TRUCK)
    assert grants.request("DELETE", ["open"], TRUCK)
    assert grants.request("POST", [""], TRUCK)
    assert not grants.request("GET", [""], TRUCK)


def test_publishing_receiving_asking_and_observing_are_apart() -> None:
    grants = Grants([Patterns(publish=("a",), subscribe=("b",), request=("GET /c",), observe=("/d",))])
    assert [grants.topic(Action.PUBLISH, topic, TRUCK) for topic in "abcd"] == [True, False, False, False]
    assert [grants.topic(Action.RECEIVE, topic, TRUCK) for topic in "abcd"] == [False, True, False, False]
    assert [grants.request("GET", [path], TRUCK) for path in "abcd"] == [False, False, True, False]
    assert [grants.observe([path], TRUCK) for path in "abcd"] == [False, False, False, True]


@given(PATTERNS)
def test_a_pattern_has_a_problem_where_the_filter_that_it_becomes_is_none(pattern: str) -> None:
    try:
        check_filter(filled(pattern))
    except MqttError:
        assert pattern_problem(pattern) is not None
    else:
        assert pattern_problem(pattern) is None


@pytest.mark.parametrize("pattern", ["a/{device}", "{client", "a}", "a#", "#/a", "", "a+/b", "a/" * 40])
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    assert pattern_problem(pattern) is not None


@pytest.mark.parametrize("pattern", ["/a", "get /a", "GET a", "GET", "GET /{x}", "GET /a/#/b", ""])
def test_what_is_no_pattern_of_requests_is_told(pattern: str) -> None:
    assert request_problem(pattern) is not None


def test_paths_start_with_a_slash() -> None:
    assert path_problem("a") == "a path starts with /: write '/a'"
    assert path_problem("/") is None
    assert path_problem("/a/{client}/#") is None
    assert request_problem("GET /") is None


def test_placeholders_are_found() -> None:
    assert placeholders_of("a/{client}/{user}-{client}") == {"client", "user"}
    assert placeholders_of("a/+") == set()
