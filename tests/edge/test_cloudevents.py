"""CloudEvents at the node's doors, through real sessions and gateways: in and out, by both protocols."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import cbor2
import msgspec
import pytest
from msgspec import Struct

from rimward import App, CloudEvent, CloudEventError, Event, Reply, Stream, http, mqtt
from rimward.events.cloudevents import STRUCTURED, from_http, from_structured, to_http, to_mqtt, to_structured
from rimward.testing import Properties, Response, Site, effects

app = App("cold", compat="2026-11-01")
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


class Reading(Struct):
    celsius: float


class Timed(Struct):
    celsius: float
    at: datetime


@app.fact
class Warm(Struct):
    truck: str
    celsius: float


@app.fact
class Hot(Struct):
    celsius: float


@app.edge(mqtt("plain/{truck}"))
def plain(truck: str, reading: Reading) -> None:
    app.forward(Warm(truck, reading.celsius))


@app.edge(mqtt("timed/{truck}", time="at"))
def timed(truck: str, reading: Timed) -> None:
    app.forward(Warm(truck, reading.celsius))


@app.edge(mqtt("ask/{truck}"))
def ask(truck: str, reading: Reading, event: Event) -> dict[str, Any]:
    app.forward(Warm(truck, reading.celsius))
    return msgspec.to_builtins(event) | {"celsius": reading.celsius}


@app.edge(mqtt("raw"))
def raw(payload: bytes) -> None:
    app.publish("raw/out", payload)


@app.edge(mqtt("aside"), durable=False)
def aside(reading: Reading, event: Event) -> None:
    app.publish("aside/out", f"{event.type} {reading.celsius}")


@app.stream(mqtt("hot"))
def hot(readings: Stream[Reading]) -> Stream[Hot]:
    return readings.map(lambda reading: Hot(reading.celsius)).forward()


@app.edge(http.post("/readings/{truck}"))
def post(truck: str, reading: Reading, event: Event) -> dict[str, Any]:
    app.forward(Warm(truck, reading.celsius))
    return msgspec.to_builtins(event) | {"celsius": reading.celsius}


@app.edge(http.post("/aside"), durable=False)
def post_aside(reading: Reading, event: Event) -> str:
    return f"{event.id} {reading.celsius}"


@app.edge(http.get("/mode"))
def mode() -> CloudEvent:
    return made()


@app.edge(http.post("/modes"))
def add_mode() -> Reply[CloudEvent]:
    return Reply(made(), status=201, headers={"Location": "/modes/1"})


@app.edge(mqtt("mode/ask"))
def ask_mode(_: bytes) -> CloudEvent:
    return made()


@app.edge(mqtt("mode/set"))
def set_mode(_: bytes) -> None:
    app.publish("mode", made())


@app.edge(mqtt("mode/bad"))
def bad_mode(_: bytes) -> None:
    app.publish("mode", CloudEvent(id="1", source="/x", type="t", data=b"{"))


def made() -> CloudEvent:
    return CloudEvent(
        id="m-1",
        source="//local/node-1",
        type="mode.v1",
        subject="Kühlraum 1",
        time=NOON,
        datacontenttype="application/json",
        extensions={"sequence": "7"},
        data=b'{"mode":"max"}',
    )


def event(data: bytes | None = b'{"celsius":9.5}', **more: Any) -> CloudEvent:
    known: dict[str, Any] = {
        "id": "abc", "source": "urn:box", "type": "reading.v1", "subject": "door 3", "time": NOON,
        "datacontenttype": "application/json", "extensions": {"traceparent": TRACE}, "data": data,
    }  # fmt: skip
    return CloudEvent(**(known | more))


def in_mqtt(sent: CloudEvent, mode: str) -> tuple[bytes, Properties]:
    carried = to_mqtt(sent) if mode == "binary" else to_structured(sent)
    user = tuple(carried.fields.items()) or None
    return carried.body, Properties(content_type=carried.content_type, user=user)


@pytest.fixture
async def site() -> AsyncGenerator[Site]:
    async with Site(app) as running:
        yield running


MODES = pytest.mark.parametrize("mode", ["binary", "structured"])
DATA = {
    "application/json": b'{"celsius":9.5}',
    "application/msgpack": msgspec.msgpack.encode({"celsius": 9.5}),
    "application/cbor": cbor2.dumps({"celsius": 9.5}),
}
ATTRIBUTES = {
    "id": "abc", "source": "urn:box", "type": "reading.v1", "subject": "door 3",
    "time": int(NOON.timestamp()) * 1_000_000_000, "traceparent": TRACE, "celsius": 9.5,
}  # fmt: skip


async def rows(site: Site, fact: str = "warm") -> list[tuple[str, datetime, str | None]]:
    """Return what says where rows came from: event, time and trace."""
    await site.settle()
    lake, query = site.lake, f"select _event, _time, _trace from {fact} order by _seq"
    found = (await asyncio.to_thread(lake.sql, query)).to_pylist()
    return [(row["_event"], row["_time"], row["_trace"]) for row in found]


# -- in, MQTT 5


@MODES
@pytest.mark.parametrize("content_type", list(DATA))
async def test_a_function_gets_an_events_data_and_its_attributes(
    site: Site, mode: str, content_type: str
) -> None:
    box = site.device("box")
    body, properties = in_mqtt(event(DATA[content_type], datacontenttype=content_type), mode)
    properties = msgspec.structs.replace(properties, response_topic="answers", correlation_data=b"1")
    answers = box.subscribe("answers")
    ack = await box.publish("ask/7", body, qos=1, properties=properties)
    assert ack.ok, ack
    (answer,) = answers.messages
    assert answer.properties is not None
    assert answer.properties.content_type == content_type
    decode = {"json": msgspec.json.decode, "msgpack": msgspec.msgpack.decode, "cbor": cbor2.loads}
    found: dict[str, Any] = decode[content_type.partition("/")[2]](answer.payload)
    assert found.items() >= (ATTRIBUTES | {"sender": "box", "protocol": "mqtt5"}).items()


@MODES
@pytest.mark.parametrize("topic", ["plain/7", "ask/7"])
async def test_rows_have_the_events_id_time_and_trace(site: Site, mode: str, topic: str) -> None:
    body, properties = in_mqtt(event(), mode)
    assert (await site.device("box").publish(topic, body, qos=1, properties=properties)).ok
    assert await rows(site) == [("abc", NOON, "a" * 32)]


async def test_a_time_that_the_trigger_names_wins(site: Site) -> None:
    body, properties = in_mqtt(event(b'{"celsius":9.5,"at":"2026-01-01T00:00:07Z"}'), "binary")
    await site.device("box").publish("timed/7", body, qos=1, properties=properties)
    assert await rows(site) == [("abc", datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC), "a" * 32)]


@MODES
async def test_a_stream_takes_an_events_data(site: Site, mode: str) -> None:
    body, properties = in_mqtt(event(), mode)
    await site.device("box").publish("hot", body, qos=1, properties=properties)
    assert await rows(site, "hot") == [("abc", NOON, "a" * 32)]


async def test_an_event_without_type_subject_and_time_is_json_about_its_topic_now(site: Site) -> None:
    await site.advance("5s")
    sent = event(datacontenttype=None, subject=None, time=None, extensions={})
    body, properties = in_mqtt(sent, "binary")
    assert properties.content_type is None
    properties = msgspec.structs.replace(properties, response_topic="answers")
    box = site.device("box")
    answers = box.subscribe("answers")
    assert (await box.publish("ask/7", body, qos=1, properties=properties)).ok
    now = int(site.now.timestamp()) * 1_000_000_000
    assert answers.last.items() >= {"subject": "ask/7", "time": now, "traceparent": None}.items()
    assert await rows(site) == [("abc", site.now, None)]


@MODES
async def test_a_function_outside_the_transaction_gets_the_event_too(site: Site, mode: str) -> None:
    inbox = site.inbox("aside/out")
    body, properties = in_mqtt(event(), mode)
    await site.device("box").publish("aside", body, properties=properties)
    assert inbox.last == "reading.v1 9.5"


@MODES
async def test_subscribers_get_an_event_as_it_was_published(site: Site, mode: str) -> None:
    inbox = site.inbox("plain/7", CloudEvent)
    body, properties = in_mqtt(event(), mode)
    await site.device("box").publish("plain/7", body, qos=1, properties=properties)
    (message,) = inbox.messages
    assert message.payload == body
    assert message.properties is not None
    assert message.properties.content_type == properties.content_type
    assert inbox.last == message.event == event()


async def test_a_device_of_the_kit_publishes_events_by_itself(site: Site) -> None:
    inbox = site.inbox("plain/#", CloudEvent)
    await site.device("new").publish("plain/7", event(), qos=1)
    await site.device("old", protocol="mqtt3").publish("other", event(), qos=1)
    assert inbox.all == [event()]
    assert await rows(site) == [("abc", NOON, "a" * 32)]


async def test_over_mqtt_3_1_1_an_event_is_a_payload_like_any_other(site: Site) -> None:
    inbox = site.inbox("raw/out")
    body = to_structured(event()).body
    await site.device("old", protocol="mqtt3").publish("raw", body, qos=1)
    assert inbox.messages[0].payload == body


BROKEN = {
    "type is empty": b'{"specversion":"1.0","id":"1","source":"/x","data":{"celsius":1}}',
    "specversion is '0.3'": b'{"specversion":"0.3","id":"1","source":"/x","type":"t"}',
    "not a JSON object": b"[]",
    "time is 'noon'": b'{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"noon"}',
    "1678 to 2261": b'{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"9999-01-01T00:00:00Z"}',
    "id has 1025 characters": b'{"specversion":"1.0","id":"%s","source":"/x","type":"t"}' % (b"x" * 1025),
}


@pytest.mark.parametrize("topic", ["plain/7", "hot"])
@pytest.mark.parametrize(("rule", "body"), BROKEN.items(), ids=list(BROKEN))
async def test_what_says_that_it_is_an_event_and_is_none_is_refused_and_kept(
    site: Site, topic: str, rule: str, body: bytes
) -> None:
    ack = await site.device("box").publish(topic, body, qos=1, properties=Properties(content_type=STRUCTURED))
    assert ack.code == 0x99
    assert rule in ack.reason
    (dead,) = site.dead_letters
    assert (dead.reason, dead.payload, dead.function) == ("payload", body, topic.partition("/")[0])
    assert rule in dead.detail
    await site.settle()
    assert site.rows(Warm) == site.rows(Hot) == []


async def test_a_broken_attribute_in_binary_mode_is_refused_and_a_stranger_is_left_alone(site: Site) -> None:
    box = site.device("box")
    user = (("specversion", "1.0"), ("id", "1"), ("source", "/x"), ("type", "t"), ("time", "noon"))
    ack = await box.publish("plain/7", b'{"celsius":1}', qos=1, properties=Properties(user=user))
    assert ack.code == 0x99
    assert "time is 'noon'" in ack.reason
    others = Properties(user=(("id", "7"), ("type", "t")))
    assert (await box.publish("plain/7", b'{"celsius":1}', qos=1, properties=others)).ok
    assert len(site.dead_letters) == 1


@pytest.mark.parametrize(
    "content_type", ["application/cloudevents-batch+json", "application/cloudevents+avro"]
)
async def test_other_formats_are_a_media_type_that_is_not_read(site: Site, content_type: str) -> None:
    box = site.device("box")
    ack = await box.publish("plain/7", b"[]", qos=1, properties=Properties(content_type=content_type))
    assert ack.code == 0x99
    answer = await site.http.post("/readings/7", b"[]", headers={"content-type": content_type})
    assert answer.status == 415
    assert STRUCTURED in answer.json()["detail"]
    assert [dead.reason for dead in site.dead_letters] == ["media-type", "media-type"]


async def test_where_no_function_listens_nobody_judges(site: Site) -> None:
    inbox = site.inbox("elsewhere")
    ack = await site.device("box").publish(
        "elsewhere", b"[]", qos=1, properties=Properties(content_type="application/cloudevents-batch+json")
    )
    assert ack.ok
    assert inbox.messages[0].payload == b"[]"


# -- in, HTTP


@MODES
@pytest.mark.parametrize("content_type", list(DATA))
async def test_a_request_carries_an_event(site: Site, mode: str, content_type: str) -> None:
    sent = event(DATA[content_type], datacontenttype=content_type)
    carried = to_http(sent) if mode == "binary" else to_structured(sent)
    headers = carried.fields | {"content-type": carried.content_type or "", "accept": "application/json"}
    answer = await site.http.post("/readings/7", carried.body, headers=headers)
    assert answer.status == 200, answer.text
    assert answer.json().items() >= (ATTRIBUTES | {"protocol": "http"}).items()
    assert await rows(site) == [("abc", NOON, "a" * 32)]


async def test_a_broken_request_is_told_the_attribute_and_the_rule(site: Site) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "content-type": "application/json"}
    answer = await site.http.post("/readings/7", b'{"celsius":1}', headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "type is empty, a CloudEvent needs it" in answer.json()["detail"]
    (dead,) = site.dead_letters
    assert (dead.reason, dead.protocol, dead.payload) == ("payload", "http", b'{"celsius":1}')


async def test_a_function_outside_the_transaction_refuses_as_any_other(site: Site) -> None:
    sent = to_http(event())
    headers = sent.fields | {"content-type": "application/json"}
    assert (await site.http.post("/aside", sent.body, headers=headers)).text == "abc 9.5"
    del headers["ce-source"]
    answer = await site.http.post("/aside", sent.body, headers=headers)
    assert answer.status == 422
    assert "source is empty" in answer.json()["detail"]
    await site.settle()
    assert [dead.function for dead in site.dead_letters] == ["post_aside"]


async def test_the_data_of_an_event_must_fit_as_any_payload(site: Site) -> None:
    carried = to_structured(event(b'{"celsius":"warm"}'))
    answer = await site.http.post("/readings/7", carried.body, headers={"content-type": STRUCTURED})
    assert answer.status == 422
    assert "$.celsius" in answer.json()["detail"]
    (dead,) = site.dead_letters
    assert dead.payload == carried.body, "the dead letter is the whole event"


# -- out


def read(answer: Response) -> CloudEvent | None:
    return from_http(answer.headers["content-type"], answer.headers, answer.body)


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/cloudevents+json;q=0"])
async def test_a_returned_event_is_a_reply_in_binary_mode(site: Site, accept: str | None) -> None:
    answer = await site.http.get("/mode", headers={} if accept is None else {"accept": accept})
    assert (answer.status, answer.body) == (200, b'{"mode":"max"}')
    assert answer.headers["content-type"] == "application/json"
    assert read(answer) == made()


@pytest.mark.parametrize("accept", [STRUCTURED, f"text/html, {STRUCTURED.upper()}; q=0.5"])
async def test_it_is_structured_where_accept_names_that(site: Site, accept: str) -> None:
    answer = await site.http.get("/mode", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(STRUCTURED)
    assert read(answer) == made()


async def test_a_reply_around_an_event_keeps_its_status_and_headers(site: Site) -> None:
    answer = await site.http.post("/modes")
    assert (answer.status, answer.headers["location"]) == (201, "/modes/1")
    assert read(answer) == made()


async def test_an_mqtt_5_reply_is_an_event_in_binary_mode(site: Site) -> None:
    answer = await site.device("box").request("mode/ask")
    assert answer.payload == b'{"mode":"max"}'
    assert answer.event == made()
    assert answer.properties is not None
    assert answer.properties.correlation_data == b"1"


async def test_an_event_as_an_action_is_said_in_each_subscribers_version(site: Site) -> None:
    old = site.device("old", protocol="mqtt3").subscribe("mode")
    new = site.inbox("mode")
    await site.device("box").publish("mode/set", qos=1)
    assert from_structured(STRUCTURED, old.messages[0].payload) == made()
    assert old.messages[0].event is None
    assert new.last == {"mode": "max"}
    assert new.messages[0].event == made()


async def test_an_event_whose_data_are_not_what_they_say_fails_its_function(site: Site) -> None:
    inbox = site.inbox("mode")
    assert (await site.device("box").publish("mode/bad", qos=1)).code == 0x83
    (error,) = site.errors
    assert isinstance(error, CloudEventError)
    assert not inbox.all


def test_effects_show_an_event_as_it_was_published() -> None:
    with effects(app) as fx:
        set_mode(b"")
    assert [(one.topic, one.payload) for one in fx.published] == [("mode", made())]
