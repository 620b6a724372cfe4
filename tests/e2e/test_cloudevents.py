"""CloudEvents between a running `rimward dev` and the official package, over HTTP, MQTT and NATS."""

import json
import queue
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from cloudevents.core.bindings import http as official
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .running import PATIENCE, Dev, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PAGE = (Path(__file__).parents[2] / "docs/cloudevents.md").read_text()
STRUCTURED = "application/cloudevents+json"
NOON = datetime(2026, 11, 25, 12, 0, 0, 250_000, UTC)
MODES = pytest.mark.parametrize("mode", ["binary", "structured"])


def block(language: str) -> str:
    """Return the documentation's first block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    """The documentation's app."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "app.py").write_text(block("python"))
    with Dev(folder / "app.py", folder / ".rimward", "--events") as running:
        yield running


def event(number: str, celsius: float = 9.5) -> CloudEvent:
    attributes = {
        "id": number, "source": "urn:truck:7", "type": "reading.v1", "specversion": "1.0", "time": NOON,
        "datacontenttype": "application/json", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }  # fmt: skip
    return CloudEvent(attributes, {"celsius": celsius})


class Client:
    """A paho client; what comes goes into a queue."""

    def __init__(self, port: int, name: str, version: MQTTProtocolVersion) -> None:
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[int] = queue.Queue()
        self._granted = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=version)
        self._client.on_message = lambda _c, _u, message: self.messages.put(message)
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self.answers.put(reason.value)
        self._client.on_subscribe = lambda _c, _u, _m, _r, _p: self._granted.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)
        assert self._granted.wait(PATIENCE)

    def publish(self, topic: str, payload: bytes, properties: Properties | None = None) -> int:
        """Publish at QoS 1 and return the reason code."""
        self._client.publish(topic, payload, qos=1, properties=properties)
        return self.answers.get(timeout=PATIENCE)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def client(
    dev: Dev, name: str, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5
) -> Generator[Client]:
    made = Client(dev.ready["mqtt"], name, version)
    try:
        yield made
    finally:
        made.close()


def published(one: CloudEvent, mode: str) -> tuple[bytes, Properties]:
    """Return an event as MQTT 5 carries it, written by the official package."""
    properties: Any = Properties(PacketTypes.PUBLISH)
    if mode == "structured":
        properties.ContentType = STRUCTURED
        return JSONFormat().write(one), properties
    message = official.to_binary_event(one)
    properties.ContentType = message.headers["content-type"]
    fields = {k.removeprefix("ce-"): v for k, v in message.headers.items() if k.startswith("ce-")}
    properties.UserProperty = list(fields.items())
    return message.body, properties


def request(dev: Dev, message: official.HTTPMessage, **more: str) -> official.HTTPMessage:
    """Post an event and return the answer."""
    url = f"http://127.0.0.1:{dev.ready['http']}/trucks/7/readings"
    asked = urllib.request.Request(url, message.body, message.headers | more, method="POST")
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return official.HTTPMessage(headers, answer.read())


def is_verdict(found: Any, number: str) -> bool:
    """Tell whether it is the app's answer to an event."""
    return (
        found.get_id() == f"{number}/verdict"
        and found.get_source() == "//local/cold"
        and found.get_type() == "cold.verdict.v1"
        and found.get_subject() == "trucks/7"
        and found.get_data() == {"warm": True}
    )


@MODES
@pytest.mark.parametrize("accept", ["application/json", STRUCTURED])
def test_over_http_both_read_each_other(dev: Dev, mode: str, accept: str) -> None:
    one = event(f"http-{mode}")
    sent = official.to_binary_event(one) if mode == "binary" else official.to_structured_event(one)
    answer = request(dev, sent, Accept=accept)
    assert answer.headers["content-type"].startswith(accept)
    assert ("ce-id" in answer.headers) == (accept != STRUCTURED)
    assert is_verdict(official.from_http_event(answer), one.get_id())


def test_over_http_what_is_no_event_is_told_why(dev: Dev) -> None:
    sent = official.to_binary_event(event("broken"))
    del sent.headers["ce-type"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        request(dev, sent)
    assert caught.value.code == 422
    assert json.loads(caught.value.read())["detail"] == "CloudEvent: type is empty, a CloudEvent needs it"


@MODES
def test_over_mqtt_both_read_each_other_and_the_row_tells_of_the_event(dev: Dev, mode: str) -> None:
    number = f"mqtt-{mode}"
    with (
        client(dev, "truck-7") as truck,
        client(dev, "new") as new,
        client(dev, "old", MQTTProtocolVersion.MQTTv311) as old,
    ):
        new.subscribe("trucks/7/alarm")
        old.subscribe("trucks/7/alarm")
        assert truck.publish("trucks/7/temperature", *published(event(number), mode)) == 0
        message = new.messages.get(timeout=PATIENCE)
        properties: Any = message.properties
        headers = {f"ce-{name}": value for name, value in properties.UserProperty}
        headers["content-type"] = properties.ContentType
        assert is_verdict(
            official.from_http_event(official.HTTPMessage(headers, bytes(message.payload))), number
        )
        plain = JSONFormat().read(None, bytes(old.messages.get(timeout=PATIENCE).payload))
        assert is_verdict(plain, number)
    query = f"select celsius, epoch_ms(_time) as at, _trace from too_warm where _event = '{number}'"
    rows: list[dict[str, Any]] = []

    def arrived() -> bool:
        rows[:] = dev.json_lines("sql", query)
        return bool(rows)

    until(arrived, "the row is in the lake")
    assert rows == [{"celsius": 9.5, "at": round(NOON.timestamp() * 1000), "_trace": "a" * 32}]


def test_over_mqtt_what_is_no_event_is_refused(dev: Dev) -> None:
    properties: Any = Properties(PacketTypes.PUBLISH)
    properties.ContentType = STRUCTURED
    with client(dev, "truck-8") as truck:
        assert truck.publish("trucks/8/temperature", b'{"specversion":"1.0"}', properties) == 0x99


def test_the_documentations_reader_hears_of_committed_rows(dev: Dev) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", block("py")], cwd=dev.data.parent, stdout=subprocess.PIPE, text=True
    ) as reader:
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "listening\n"
            with client(dev, "truck-9") as truck:
                assert truck.publish("trucks/9/temperature", *published(event("told", 11.5), "binary")) == 0
            told = iter(reader.stdout.readline, "")
            line = next(line for line in told if "'truck': '9'" in line)
            assert re.fullmatch(r"node-1/\d+/too_warm/\d+ \{'truck': '9', 'celsius': 11.5\}\n", line)
        finally:
            reader.kill()
