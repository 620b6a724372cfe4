"""CloudEvents: ours and the official package read each other's, and what breaks a rule is refused."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings import http as official
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as OfficialEvent
from hypothesis import given
from hypothesis import strategies as st

from rimward.events import CloudEvent, CloudEventError
from rimward.events.cloudevents import (
    MAX_ATTRIBUTES,
    Carried,
    from_http,
    from_mqtt,
    from_nats,
    from_structured,
    is_structured,
    to_http,
    to_mqtt,
    to_nats,
    to_structured,
)

NOON = datetime(2026, 11, 25, 12, 0, 0, 250_000, UTC)
READING = CloudEvent(
    id="7/1",
    source="//site/node-1",
    type="too_warm.v1",
    subject='trucks/7/Kühl raum "A" 100%',
    time=NOON,
    datacontenttype="application/json; charset=utf-8",
    dataschema="https://example.org/too_warm",
    extensions={"sequence": "41", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
    data=b'{"celsius":9.5}',
)


def texts(alphabet: Any = None, **limits: int) -> st.SearchStrategy[str]:
    safe = st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="\ufffe\uffff")
    return st.text(alphabet or safe, min_size=1, **limits)


EVENTS = st.builds(
    CloudEvent,
    id=texts(),
    source=texts(),
    type=texts(),
    subject=st.none() | texts(),
    time=st.none() | st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=30)))),
    datacontenttype=st.sampled_from(
        ["application/json", "text/plain", "application/vnd.x+json", "image/png"]
    ),
    extensions=st.dictionaries(
        texts("abcxyz019").map(lambda name: "x" + name), texts() | st.sampled_from(["true", "7"]), max_size=4
    ),
    data=st.none() | st.just(b'{"a":[1,"x"]}'),
)


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def from_official(message: official.HTTPMessage) -> CloudEvent | None:
    headers = lower(message.headers)
    return from_http(headers.get("content-type"), headers, message.body)


def to_official(carried: Carried) -> Any:
    headers = dict(carried.fields)
    if carried.content_type is not None:
        headers["content-type"] = carried.content_type
    return official.from_http_event(official.HTTPMessage(headers, carried.body))


def official_reading() -> OfficialEvent:
    attributes: dict[str, Any] = {
        "id": READING.id,
        "source": READING.source,
        "type": READING.type,
        "subject": READING.subject,
        "time": NOON,
        "datacontenttype": READING.datacontenttype,
        "dataschema": READING.dataschema,
        **READING.extensions,
    }
    return OfficialEvent(attributes, READING.data)


def same(found: Any) -> None:
    assert found.get_id() == READING.id
    assert found.get_source() == READING.source
    assert found.get_type() == READING.type
    assert found.get_subject() == READING.subject
    assert found.get_time() == NOON
    assert found.get_dataschema() == READING.dataschema
    assert {name: found.get_extension(name) for name in READING.extensions} == READING.extensions
    assert found.get_data() == {"celsius": 9.5}


def test_the_official_package_reads_our_binary_and_structured_modes() -> None:
    same(to_official(to_http(READING)))
    same(to_official(to_structured(READING)))


def test_we_read_the_official_packages_binary_and_structured_modes() -> None:
    event = official_reading()
    assert from_official(official.to_binary_event(event, JSONFormat())) == READING
    assert from_official(official.to_structured_event(event, JSONFormat())) == READING


@given(EVENTS)
def test_every_event_comes_back_from_every_mode(event: CloudEvent) -> None:
    for carried in (to_http(event), to_structured(event)):
        assert from_http(carried.content_type, carried.fields, carried.body) == event
    for carried in (to_mqtt(event), to_structured(event)):
        assert from_mqtt(carried.content_type, carried.fields.items(), carried.body) == event
    carried = to_nats(event)
    assert from_nats(carried.fields, carried.body) == event


@given(EVENTS)
def test_a_header_is_visible_ascii_whatever_the_attribute_holds(event: CloudEvent) -> None:
    for carried in (to_http(event), to_nats(event)):
        assert all(0x20 < ord(c) < 0x7F for value in carried.fields.values() for c in value)


def test_mqtt_names_attributes_without_a_prefix_and_the_type_of_the_data_as_content_type() -> None:
    carried = to_mqtt(READING)
    assert carried.content_type == READING.datacontenttype
    assert carried.fields["specversion"] == "1.0"
    assert carried.fields["subject"] == READING.subject
    assert carried.body == READING.data


def test_nats_names_the_type_of_the_data_like_any_other_attribute() -> None:
    carried = to_nats(READING)
    assert carried.content_type is None
    assert carried.fields["ce-datacontenttype"] == "application/json;%20charset=utf-8"


def test_binary_data_travel_as_base64_in_structured_mode() -> None:
    event = CloudEvent(id="1", source="s", type="t", datacontenttype="image/png", data=b"\x89PNG\xff")
    body = to_structured(event).body
    assert b'"data_base64":"iVBOR/8="' in body
    assert from_structured("application/cloudevents+json", body) == event


def test_text_data_of_others_is_a_json_string() -> None:
    body = (
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","datacontenttype":"text/plain","data":"hi"}'
    )
    assert from_structured("application/cloudevents+json", body).data == b"hi"


def test_typed_extensions_of_structured_mode_keep_their_type() -> None:
    event = CloudEvent(id="1", source="s", type="t", extensions={"n": 7, "ok": True, "s": "x"})
    assert from_structured("application/cloudevents+json", to_structured(event).body) == event
    assert to_http(event).fields["ce-ok"] == "true"


def test_a_quoted_header_of_an_older_sender_is_read() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": r'"a\"b"'}
    event = from_http(None, headers, b"")
    assert event is not None
    assert event.type == 'a"b'


@pytest.mark.parametrize("content_type", ["application/json", None, "text/plain"])
def test_a_message_that_says_nothing_of_events_is_none(content_type: str | None) -> None:
    assert from_http(content_type, {"ce-id": "1"}, b"{}") is None
    assert from_mqtt(content_type, [("id", "1"), ("source", "s"), ("type", "t")], b"{}") is None
    assert from_nats({"X-Id": "1"}, b"{}") is None


def test_the_content_type_alone_tells_structured_mode() -> None:
    assert is_structured("Application/CloudEvents+JSON; charset=utf-8")
    assert not is_structured("application/json")
    assert not is_structured(None)


GOOD = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"specversion": "0.3"}, r"specversion is '0\.3', '1\.0' is read"),
        ({"id": ""}, "id is empty"),
        ({"source": None}, "source is empty"),
        ({"type": 7}, "type is 7, it must be a string"),
        ({"time": "yesterday"}, "time is 'yesterday', it must be as RFC 3339 says"),
        ({"time": "2026-11-25T12:00:00"}, "time is .*, it must name its zone"),
        ({"subject": "a\nb"}, r"subject is 'a\\nb', it must have no control characters"),
        ({"Upper": "x"}, "'Upper' can't name an extension"),
        ({"nested": {"a": 1}}, "nested is .*, an extension is a string, an integer or a boolean"),
        ({"n": 1 << 40}, "n is 1099511627776, an integer has 32 bits"),
        ({"data": 1, "data_base64": "AA=="}, "both data and data_base64"),
        ({"data_base64": "?"}, "data_base64 is not a string of base64"),
        ({f"x{n}": "y" for n in range(MAX_ATTRIBUTES + 1)}, "65 extensions, the limit is 64"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_attribute_and_the_rule(
    change: dict[str, Any], words: str
) -> None:
    body = msgspec.json.encode(GOOD | change)
    with pytest.raises(CloudEventError, match=words):
        from_structured("application/cloudevents+json", body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"specversion":"1.0"', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(CloudEventError):
        from_structured("application/cloudevents+json", body)


def test_another_format_is_refused_by_its_name() -> None:
    with pytest.raises(CloudEventError, match=r"application/cloudevents\+avro"):
        from_structured("application/cloudevents+avro", b"")


def test_a_header_that_is_not_percent_encoded_utf_8_is_refused() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "%ff", "ce-source": "s", "ce-type": "t"}
    with pytest.raises(CloudEventError, match="ce-id"):
        from_http(None, headers, b"")
