"""MQTT over WebSocket [MQTT 5 §6], with a real client and with bytes cut as no client would."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.protocols.websocket.frames import BINARY, CLOSE, TEXT, frame

from .test_websocket import raw
from .web_house import Web, open_web

FUNCTIONS = """
from rimward import mqtt


@app.edge(mqtt("trucks/{truck}/temperature"))
def guard(truck: str, payload: bytes) -> None:
    app.publish(f"trucks/{truck}/chiller", payload[::-1])
"""
PROTOCOL = "Sec-WebSocket-Protocol: mqtt"
CONNECT = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04rawc"
CONNACK = 0x20
SUBSCRIBE = b"\x82\x15\x00\x01\x00\x00\x0ftrucks/+/chille\x00"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    async with open_web(tmp_path, FUNCTIONS) as web:
        yield web


async def test_a_real_client_publishes_and_listens_through_a_websocket(web: Web) -> None:
    came, loop = asyncio.Event(), asyncio.get_running_loop()
    got: list[tuple[str, bytes]] = []
    ready = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, "page", transport="websockets", protocol=paho.MQTTv5)
    client.ws_set_options("/mqtt")

    def on_connect(*_: object) -> None:
        client.subscribe("trucks/+/chiller", 1)

    def on_subscribe(*_: object) -> None:
        ready.set()

    client.on_connect, client.on_subscribe = on_connect, on_subscribe

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        got.append((message.topic, bytes(message.payload)))
        loop.call_soon_threadsafe(came.set)

    client.on_message = on_message
    await asyncio.to_thread(client.connect, "127.0.0.1", web.port)
    client.loop_start()
    try:
        assert await asyncio.to_thread(ready.wait, 20)
        client.publish("trucks/7/temperature", b"abc", 1)
        async with asyncio.timeout(20):
            await came.wait()
        assert got == [("trucks/7/chiller", b"cba")]
        assert web.node.mqtt.stats()["clients"] == 1
    finally:
        await asyncio.to_thread(client.disconnect)
        await asyncio.to_thread(client.loop_stop)
    await web.until(lambda: web.node.mqtt.stats()["connections"] == 0)
    await web.until(lambda: web.node.http.stats()["sockets"] == 0)


async def test_packets_may_span_frames_and_frames_hold_many_packets(web: Web) -> None:
    async with raw(web, "/mqtt", PROTOCOL) as socket:
        for byte in CONNECT:
            socket.writer.write(frame(BINARY, bytes([byte])))
        head = await socket.reader.readexactly(3)
        assert (head[0], head[2]) == (0x82, CONNACK)
        await socket.reader.readexactly(head[1] - 1)
        socket.writer.write(frame(BINARY, PINGREQ * 3))
        answer = b""
        while answer.count(PINGRESP) < 3:
            answer += await socket.reader.readexactly(2)


async def test_a_text_frame_ends_the_connection(web: Web) -> None:
    async with raw(web, "/mqtt", PROTOCOL) as socket:
        socket.writer.write(frame(BINARY, CONNECT) + frame(TEXT, b"ping"))
        _, code = await socket.until_close()
        assert code == 1003
    await web.until(lambda: web.node.mqtt.stats()["connections"] == 0)


async def test_the_subprotocol_must_be_asked_for(web: Web) -> None:
    lines = ["Host: localhost", "Connection: Upgrade, close", "Upgrade: websocket"]
    key = ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    answer = await web.exchange("\r\n".join(["GET /mqtt HTTP/1.1", *lines, *key, "", ""]).encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the subprotocol mqtt must be asked for" in answer


async def test_what_breaks_mqtt_is_told_in_its_words_and_the_socket_ends_in_its_own(web: Web) -> None:
    async with raw(web, "/mqtt", PROTOCOL) as socket:
        socket.writer.write(frame(BINARY, CONNECT) + frame(BINARY, b"\xf0\x00\x00"))
        before, code = await_close(await socket.reader.readuntil(b"\x88\x02\x03\xe8"))
        assert b"\xe0" in before  # DISCONNECT
        assert code == 1000


def await_close(data: bytes) -> tuple[bytes, int]:
    return data[:-4], int.from_bytes(data[-2:], "big")


async def test_a_page_of_another_origin_can_not_speak_mqtt(web: Web) -> None:
    lines = ["Host: localhost", "Origin: https://evil.example", "Connection: Upgrade, close"]
    key = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    answer = await web.exchange("\r\n".join(["GET /mqtt HTTP/1.1", *lines, *key, PROTOCOL, "", ""]).encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert web.node.mqtt.stats()["connections"] == 0


async def test_a_node_that_stops_says_so_in_mqtts_words(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(open_web(tmp_path, FUNCTIONS))
        async with raw(web, "/mqtt", PROTOCOL) as socket:
            socket.writer.write(frame(BINARY, CONNECT))
            head = await socket.reader.readexactly(2)
            await socket.reader.readexactly(head[1])
            stopping = asyncio.create_task(stack.aclose())
            before, _ = await_close(await socket.reader.readuntil(b"\x88\x02\x03\xe8"))
            assert before[2] == 0xE0
            assert before[4] == 0x8B  # DISCONNECT: the server is shutting down
            socket.writer.write(frame(CLOSE, b"\x03\xe8"))
            await stopping
