"""Topic names and filters: their rules [4.7], shared filters among them [5: 4.8.2]."""

from rimward.protocols.mqtt.fields import malformed
from rimward.protocols.mqtt.reasons import MqttError, Reason

MAX_BYTES = 1024  # of a topic name or filter that a node takes
MAX_LEVELS = 32
SHARED = "$share/"  # what a shared filter starts with


def check_name(topic: str, reason: Reason = Reason.TOPIC_NAME_INVALID) -> str:
    """Return a topic name that the standard allows.

    Raises:
        MqttError: it is empty or has a wildcard, a NUL or more than 65535 bytes.
    """
    if not topic or "+" in topic or "#" in topic:
        raise MqttError(reason, "a topic name is empty or has a wildcard")
    if "\0" in topic or len(topic.encode(errors="replace")) > 0xFFFF:
        raise malformed("a topic name has a NUL or more than 65535 bytes")
    return topic


def check_filter(topic_filter: str) -> str:
    """Return a topic filter that the standard allows [4.7.1].

    Raises:
        MqttError: it is empty, or a wildcard is not a level of its own, or # is not the last.
    """
    levels = topic_filter.split("/")
    if not topic_filter or "\0" in topic_filter:
        raise malformed("a topic filter is empty or has a NUL")
    for index, level in enumerate(levels):
        if level == "+" or (level == "#" and index == len(levels) - 1):
            continue
        if "+" in level or "#" in level:
            raise MqttError(Reason.TOPIC_FILTER_INVALID, "a topic filter has a wildcard out of its place")
    return topic_filter


def problem(topic: str) -> str | None:
    """Tell why a node does not take messages on a topic that the standard allows; None if it does."""
    if topic.startswith("$"):
        return "topics that start with $ are the node's own"
    if "%2f" in topic.lower():
        return "the topic has %2F, which other protocols read as /"
    return too_large(topic)


def too_large(topic: str) -> str | None:
    """Tell why a topic or filter is over the node's limits; None if it is not."""
    size = len(topic) if topic.isascii() else len(topic.encode())
    if size > MAX_BYTES:
        return f"the topic has {size} bytes, the limit is {MAX_BYTES}"
    levels = topic.count("/") + 1
    if levels > MAX_LEVELS:
        return f"the topic has {levels} levels, the limit is {MAX_LEVELS}"
    return None


def is_wild(topic_filter: str) -> bool:
    """Tell whether a filter has a wildcard."""
    return "+" in topic_filter or "#" in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether one filter fits one topic [4.7.1, 4.7.2]."""
    if topic.startswith("$") and topic_filter.startswith(("+", "#")):
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)


def split_shared(topic_filter: str) -> tuple[str | None, str]:
    """Return a filter's share name, None where it is not shared, and what it matches by.

    Raises:
        MqttError: it starts with `$share/`, and a share name without wildcards or the filter is not there.
    """
    if not topic_filter.startswith(SHARED):
        return None, topic_filter
    name, slash, wanted = topic_filter[len(SHARED) :].partition("/")
    if not name or not slash or not wanted or is_wild(name):
        raise MqttError(
            Reason.TOPIC_FILTER_INVALID,
            "a shared filter is $share/, a name without wildcards, / and a filter",
        )
    return name, wanted
