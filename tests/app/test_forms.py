"""What a version does not know of a cell: whatever it changes of the rest, that comes back as it was."""

from typing import Any, cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from rimward.app.forms import Versions
from rimward.app.state import StateType
from rimward.app.unknown import unknown_in, with_unknown

NAMES = st.sampled_from("abcd")
SCALARS = st.none() | st.integers(-5, 5) | st.text(max_size=2)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def without(value: Any, gone: frozenset[str]) -> Any:
    """Return a value as a type that does not know some names reads it."""
    if isinstance(value, dict):
        known = cast("dict[str, Any]", value)
        return {key: without(inner, gone) for key, inner in known.items() if key not in gone}
    if isinstance(value, list):
        return [without(inner, gone) for inner in cast("list[Any]", value)]
    return value


@given(VALUES, st.frozensets(NAMES))
def test_a_value_that_nobody_has_changed_is_written_as_it_was(value: Any, gone: frozenset[str]) -> None:
    read = without(value, gone)
    unknown = unknown_in(value, read)
    assert (unknown is None) == (read == value)
    assert with_unknown(read, unknown) == value


@given(VALUES, VALUES, st.frozensets(NAMES))
def test_what_is_changed_is_read_as_it_was_changed(value: Any, other: Any, gone: frozenset[str]) -> None:
    changed = without(other, gone)
    written = with_unknown(changed, unknown_in(value, without(value, gone)))
    assert without(written, gone) == changed


def test_items_that_look_the_same_get_nothing_that_may_be_anothers() -> None:
    stored = [{"n": 1, "by": "anna"}, {"n": 1, "by": "ben"}, {"n": 2, "by": "cem"}]
    unknown = unknown_in(stored, [{"n": 1}, {"n": 1}, {"n": 2}])
    assert with_unknown([{"n": 2}, {"n": 1}], unknown) == [{"n": 2, "by": "cem"}, {"n": 1}]


Wide = msgspec.defstruct("Wide", [(f"a{at}", int, 0) for at in range(20)], tag="wide", omit_defaults=True)


@given(st.dictionaries(st.integers(0, 19), st.integers(1, 3)))
def test_a_version_is_marked_however_many_fields_there_are(numbers: dict[int, int]) -> None:
    form = StateType(Wide, "key", durable=True, versions=Versions(version=300)).form
    value = Wide(**{f"a{at}": number for at, number in numbers.items()})
    sealed = form.seal(msgspec.msgpack.encode(value))
    assert msgspec.msgpack.decode(sealed, type=dict[str, Any])[""] == 300
    assert form.load(sealed) == (value, None)


class Strict(Struct, forbid_unknown_fields=True):
    a: int = 0


def test_a_type_that_forbids_unknown_fields_keeps_them_too() -> None:
    form = StateType(Strict, "key", durable=True).form
    kept = form.load(msgspec.msgpack.encode({"a": 1, "b": 2}))
    assert kept.value == Strict(1)
    sealed = form.seal(msgspec.msgpack.encode(Strict(3)), kept.unknown)
    assert msgspec.msgpack.decode(sealed) == {"a": 3, "b": 2}
