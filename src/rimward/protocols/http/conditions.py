"""Entity tags and the conditions that name them [RFC 9110 §8.8.3, §13]; dates are not used."""

import re
from hashlib import blake2b

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_LIST = re.compile(r'(?:\s*(?:(?:W/)?"[\x21\x23-\x7e\x80-\xff]*")?\s*(?:,|$))+')
_TAGS = 64  # of one condition that are compared


def tag_of(body: bytes) -> str:
    """Return a body's strong entity tag: the same bytes give the same one, on any node, after any restart."""
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def is_tag(text: str) -> bool:
    """Tell whether a text is an entity tag."""
    return _TAG.fullmatch(text) is not None


def coded(tag: str, coding: str) -> str:
    """Return the tag of a representation in a content coding: its bytes are others [§8.8.3.3]."""
    return f'{tag[:-1]}-{coding}"'


def matches(condition: str, tag: str | None, *, strong: bool) -> bool:
    """Tell whether a list of tags, or `*`, names the tag of what there is; None: there is nothing.

    A strong comparison takes neither side's weak tags [§8.8.3.2].
    """
    if condition.strip() == "*":
        return tag is not None
    if tag is None or (strong and tag.startswith("W/")):
        return False
    opaque = tag.removeprefix("W/")
    for found in _TAG.findall(condition)[:_TAGS]:
        if found.removeprefix("W/") == opaque and not (strong and found.startswith("W/")):
            return True
    return False


def is_condition(text: str) -> bool:
    """Tell whether a condition is well formed: what is not must not be taken for one that holds."""
    return text.strip() == "*" or (_LIST.fullmatch(text) is not None and _TAG.search(text) is not None)
