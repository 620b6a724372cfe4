"""Values of fields that are called as credentials are have stand-ins, wherever they stand."""

import string
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.edge.recording.redaction import Redactor
from rimward.edge.recording.wish import CREDENTIALS
from rimward.wire.recording import Body, Stored, body

redactor = Redactor((*CREDENTIALS, "phone"), b"0123456789abcdef")
CANARY = "canary-4711"
ENCODINGS: dict[str | None, Any] = {
    None: msgspec.json.encode,
    "application/json": msgspec.json.encode,
    "application/msgpack": msgspec.msgpack.encode,
    "application/cbor": cbor2.dumps,
}
names = st.text(string.ascii_letters, max_size=4).filter(lambda name: name.lower() not in CREDENTIALS)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def read(kind: str | None, data: bytes) -> Any:
    decode: Any = {"application/msgpack": msgspec.msgpack.decode, "application/cbor": cbor2.loads}
    return decode.get(kind, msgspec.json.decode)(data)


@given(values, st.sampled_from(["password", "PHONE", "Token"]), st.sampled_from(list(ENCODINGS)))
def test_a_value_under_such_a_field_is_gone_however_deep_it_is_and_the_rest_stays(
    around: Any, field: str, kind: str | None
) -> None:
    for whole in ({"a": around, field: CANARY}, [around, {"b": [{field: [{"c": CANARY}]}]}]):
        data = ENCODINGS[kind](whole)
        changed = redactor.body(body(data), kind).read()
        assert CANARY.encode() not in changed
        kept = read(kind, changed)
        assert (kept["a"] if isinstance(kept, dict) else kept[0]) == around


@given(values)
def test_what_has_no_such_field_is_kept_to_the_byte(value: Any) -> None:
    data = msgspec.json.format(msgspec.json.encode({"value": value}))
    assert redactor.body(body(data), None).read() == data


def test_a_field_that_hides_behind_escapes_is_found() -> None:
    data = b'{"\\u0070assword": "canary"}'
    assert b"canary" not in redactor.body(body(data), None).read()


def test_the_same_value_has_the_same_stand_in_and_other_recordings_another() -> None:
    other = Redactor(("phone",), b"another key, now")

    def stand_in(which: Redactor, phone: str) -> Any:
        return msgspec.json.decode(which.body(Body(text=f'{{"phone":"{phone}"}}'), None).read())["phone"]

    assert stand_in(redactor, "1") == stand_in(redactor, "1") != stand_in(redactor, "2")
    assert stand_in(redactor, "1") != stand_in(other, "1")
    assert stand_in(redactor, stand_in(redactor, "1")) == stand_in(redactor, "1")  # as a replay sees it


@pytest.mark.parametrize("data", [b"password=canary", b"\xff\x00password", b"<password>canary</password>"])
def test_what_can_not_be_read_is_kept_as_it_is(data: bytes) -> None:
    assert redactor.body(body(data), None).read() == data


def test_a_facts_columns_are_looked_at_and_into() -> None:
    line = Stored(1, "calls", {"phone": "110", "bytes": 3, "more": '{"pin":1,"to":"a"}', "pin": 4711})
    changed = redactor.line(line)
    assert isinstance(changed, Stored)
    assert changed.values is not None
    assert changed.values["phone"].startswith("redacted-")
    assert changed.values | {"phone": ""} == {"phone": "", "bytes": 3, "more": '{"pin":0,"to":"a"}', "pin": 0}
