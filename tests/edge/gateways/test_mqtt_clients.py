"""Clients that others wrote, against the gateway: paho-mqtt in a thread, mosquitto_pub and mosquitto_sub."""

import asyncio
import queue
import shutil
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .mqtt_support import PATIENCE, Site, serving

VERSIONS = {4: MQTTProtocolVersion.MQTTv311, 5: MQTTProtocolVersion.MQTTv5}
needs_mosquitto = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None or shutil.which("mosquitto_sub") is None,
    reason="needs the Debian package mosquitto-clients",
)


class Paho:
    """A paho client on a thread of its own; what it hears goes into one queue."""

    def __init__(self, port: int, client_id: str, version: int) -> None:
        self.heard: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=VERSIONS[version])
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = self._message
        self.client.on_publish = self._published
        self.client.on_disconnect = self._disconnected
        self._port = port

    def _connected(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.heard.put(("connected", str(reason)))

    def _subscribed(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        self.heard.put(("subscribed", [reason.value for reason in reasons]))

    def _message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        self.heard.put(("message", message.topic, message.payload, message.qos, message.retain))

    def _published(self, _c: Any, _u: Any, _mid: int, reason: Any, _p: Any) -> None:
        self.heard.put(("published", str(reason)))

    def _disconnected(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.heard.put(("disconnected", str(reason)))

    async def start(self) -> None:
        """Connect and wait for the CONNACK."""
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self._port, 60)
        self.client.loop_start()
        assert await self.next() == ("connected", "Success")

    async def next(self) -> tuple[Any, ...]:
        """Return what it hears next."""
        return await asyncio.to_thread(self.heard.get, timeout=PATIENCE)

    def stop(self) -> None:
        """Say goodbye and end the thread."""
        self.client.disconnect()
        self.client.loop_stop()


class Crew:
    """Paho clients at one gateway, stopped before it closes."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._clients: list[Paho] = []

    def hire(self, client_id: str, version: int) -> Paho:
        """Make a client that is not connected yet."""
        client = Paho(self._site.port, client_id, version)
        self._clients.append(client)
        return client

    async def start(self, client_id: str, version: int) -> Paho:
        """Return a connected client."""
        client = self.hire(client_id, version)
        await client.start()
        return client

    async def stop(self) -> None:
        """Stop them all."""
        for client in self._clients:
            await asyncio.to_thread(client.stop)


@asynccontextmanager
async def working() -> AsyncGenerator[tuple[Site, Crew], None]:
    """Serve a gateway to a crew."""
    async with serving() as site:
        crew = Crew(site)
        try:
            yield site, crew
        finally:
            await crew.stop()


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1])
async def test_paho_publishes_subscribes_and_gets_actions_back(version: int, qos: int) -> None:
    async with working() as (site, crew):
        device = await crew.start("device", version)
        device.client.subscribe("acted/#", qos)
        assert await device.next() == ("subscribed", [qos])
        for n in range(20):
            device.client.publish("act/x", b"%d" % n, qos)
        heard = [await device.next() for _ in range(40)]
        assert [e[2] for e in heard if e[0] == "message"] == [b"%d" % n for n in range(20)]
        assert {e[3] for e in heard if e[0] == "message"} == {qos}
        assert [e for e in heard if e[0] == "published"] == [("published", "Success")] * 20
        assert [message.payload for message in site.door.messages] == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("version", [4, 5])
async def test_paho_sees_retained_messages_and_the_will_of_another(version: int) -> None:
    async with working() as (_, crew):
        first = crew.hire("first", version)
        first.client.will_set("gone/first", b"sorry", 1, retain=False)
        await first.start()
        first.client.publish("state/1", b"on", 1, retain=True)
        assert await first.next() == ("published", "Success")
        second = await crew.start("second", version)
        second.client.subscribe("#", 1)
        assert await second.next() == ("subscribed", [1])
        assert await second.next() == ("message", "state/1", b"on", 1, True)
        link = first.client.socket()
        assert isinstance(link, socket.socket)
        link.shutdown(socket.SHUT_RDWR)
        assert await second.next() == ("message", "gone/first", b"sorry", 1, False)


async def test_paho_reads_the_reason_of_a_refusal() -> None:
    async with working() as (_, crew):
        device = await crew.start("device", 5)
        device.client.publish("refuse/payload", b"?", 1)
        assert await device.next() == ("published", "Payload format invalid")
        device.client.publish("refuse/full", b"?", 1)
        assert await device.next() == ("published", "Quota exceeded")


async def test_paho_gets_an_answer_to_its_request() -> None:
    async with working() as (_, crew):
        device = await crew.start("device", 5)
        device.client.subscribe("answers", 0)
        await device.next()
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "answers"
        properties.CorrelationData = b"42"
        device.client.publish("reply/x", b"hello", 0, properties=properties)
        heard = [await device.next(), await device.next()]
        assert ("message", "answers", b"answer to hello", 0, False) in heard


async def test_paho_is_told_that_its_session_was_taken_over() -> None:
    async with working() as (_, crew):
        first = crew.hire("same", 5)
        first.client.reconnect_delay_set(60, 60)
        await first.start()
        await crew.start("same", 5)
        assert await first.next() == ("disconnected", "Session taken over")


async def run(*command: str) -> tuple[int | None, str]:
    """Run a command to its end; return its exit code and all it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, output.decode()


@needs_mosquitto
@pytest.mark.parametrize("version", ["311", "5"])
async def test_mosquitto_publishes_and_subscribes(version: str) -> None:
    async with serving() as site:
        common = ("-h", "127.0.0.1", "-p", str(site.port), "-V", f"mqttv{version}")
        hearing = asyncio.create_task(run("mosquitto_sub", *common, "-t", "a/#", "-q", "1", "-C", "3", "-v"))
        try:
            async with asyncio.timeout(PATIENCE):
                while not site.stat("subscriptions"):  # noqa: ASYNC110 (another process brings it about)
                    await asyncio.sleep(0.01)
            for payload in ("one", "two"):
                code, text = await run("mosquitto_pub", *common, "-t", "a/b", "-m", payload, "-q", "1")
                assert (code, text) == (0, "")
            code, _ = await run("mosquitto_pub", *common, "-t", "a", "-n", "-q", "0")
            assert code == 0
            assert await hearing == (0, "a/b one\na/b two\na (null)\n")
        finally:
            hearing.cancel()
        assert site.door.topics == ["a/b", "a/b", "a"]


@needs_mosquitto
async def test_mosquitto_prints_why_a_message_is_refused() -> None:
    async with serving() as site:
        common = ("-h", "127.0.0.1", "-p", str(site.port), "-q", "1", "-m", "x")
        _, text = await run("mosquitto_pub", *common, "-V", "mqttv5", "-t", "refuse/payload")
        assert "Payload format invalid" in text
        assert "told to refuse: payload" in text
        code, text = await run("mosquitto_pub", *common, "-V", "mqttv311", "-t", "refuse/payload")
        assert (code, text) == (0, ""), "it is in the dead letters"
        code, _ = await run("mosquitto_pub", *common, "-V", "mqttv311", "-t", "refuse/full")
        assert code != 0
