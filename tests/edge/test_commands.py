"""Commands to real devices over MQTT 5 and 3.1.1: sent at once, to one device, acknowledged by it alone."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rimward.app.device import Device
from rimward.app.loading import load
from rimward.devices.client import Client, Settings
from rimward.edge.config import NodeConfig
from rimward.edge.node import Node
from rimward.events import NotConnected
from rimward.protocols.mqtt import Properties, Publish

APP = """\
import asyncio
from msgspec import Struct
from rimward import App, CommandTimeout, Device, NotConnected, mqtt
app = App("commands", compat="2026-11-01")
class Answer(Struct):
    celsius: float
@app.edge(mqtt("ask/{name}"))
async def ask(name: str, device: Device, payload: bytes) -> None:
    try:
        answer = await device.command(name, {"n": 1}, timeout="10s", reply=Answer)
        app.publish("told", answer)
    except (NotConnected, ValueError) as error:
        app.publish("told", f"{type(error).__name__}: {error}")
@app.edge(mqtt("hurry/{name}"))
async def hurry(name: str, device: Device, payload: bytes) -> None:
    try:
        await device.command(name, timeout="50ms")
    except CommandTimeout as error:
        app.publish("told", str(error))
"""


@asynccontextmanager
async def node(tmp_path: Path) -> AsyncGenerator[tuple[Node, int]]:
    file = tmp_path / "app.py"
    file.write_text(APP)
    sock = socket.create_server(("127.0.0.1", 0))
    async with Node(load(str(file)), NodeConfig(app=str(file), data=str(tmp_path))) as running:
        await running.serve(sock, None)
        yield running, sock.getsockname()[1]


def device(port: int, version: int, client_id: str = "d7") -> Client:
    return Client(Settings(port=port, client_id=client_id, version=version))


def answer_to(command: Publish) -> tuple[str, Properties | None]:
    """Return the topic and properties by which a device acknowledges a command."""
    if command.properties is not None and command.properties.response_topic is not None:
        found = command.properties
        return found.response_topic or "", Properties(correlation_data=found.correlation_data)
    return command.topic.replace("/commands/", "/replies/"), None


@pytest.mark.parametrize("version", [4, 5])
async def test_a_command_is_acknowledged_by_its_device(tmp_path: Path, version: int) -> None:
    async with node(tmp_path) as (running, port), device(port, version) as client:
        commands = await client.inbox("devices/d7/commands/#", 1)
        told = await client.inbox("told")
        await client.publish("ask/heat", b"", 0)
        command = await anext(commands)
        assert command.topic.startswith("devices/d7/commands/heat")
        assert command.payload == b'{"n":1}'
        topic, properties = answer_to(command)
        await client.publish(topic, b'{"celsius": 21.5}', 1, properties=properties)
        assert (await anext(told)).payload == b'{"celsius":21.5}'
        assert running.dispatcher.counters["commands"] == 1


async def test_a_command_goes_to_its_device_alone_and_no_other_can_answer(tmp_path: Path) -> None:
    async with (
        node(tmp_path) as (running, port),
        device(port, 5) as client,
        device(port, 5, "thief") as thief,
    ):
        commands = await client.inbox("devices/d7/commands/#")
        told = await client.inbox("told")
        overheard = await thief.inbox("devices/#")
        await client.publish("ask/heat", b"", 0)
        command = await anext(commands)
        topic, properties = answer_to(command)
        await thief.publish(topic, b'{"celsius": 0.0}', 1, properties=properties)
        assert running.dispatcher.counters["replies_unasked"] == 1
        await client.publish(topic, b'{"celsius": 1.0}', 1, properties=properties)
        assert (await anext(told)).payload == b'{"celsius":1.0}'
        heard = [(await anext(overheard)).topic for _ in range(len(overheard))]
        assert all("/commands/" not in topic for topic in heard)


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b'{"celsius": "warm"}', "ValueError: the acknowledgement of 'heat' does not fit: Expected `float`"),
        (b"\xff", "ValueError: the acknowledgement of 'heat' does not fit: "),
    ],
)
async def test_an_acknowledgement_that_does_not_fit_is_told(
    tmp_path: Path, payload: bytes, sentence: str
) -> None:
    async with node(tmp_path) as (_, port), device(port, 4) as client:
        commands, told = await client.inbox("devices/d7/commands/#"), await client.inbox("told")
        await client.publish("ask/heat", b"", 0)
        topic, _ = answer_to(await anext(commands))
        await client.publish(topic, payload, 0)
        assert (await anext(told)).payload.decode().startswith(sentence)


async def test_a_device_that_says_nothing_in_time_is_told_as_a_timeout(tmp_path: Path) -> None:
    async with node(tmp_path) as (running, port), device(port, 5) as client:
        await client.inbox("devices/d7/commands/#")
        told = await client.inbox("told")
        await client.publish("hurry/heat", b"", 1)
        assert (await anext(told)).payload == b"d7 did not acknowledge the command 'heat' within 0.05 s"
        assert running.dispatcher.counters["commands_timed_out"] == 1


@pytest.mark.parametrize(
    ("client_id", "version", "why"),
    [
        ("d7", 5, "it does not listen to devices/d7/commands/heat"),
        ("a+b", 4, "its client id has one of / + #, so it has no topic of its own"),
    ],
)
async def test_a_device_that_takes_no_commands_is_not_connected(
    tmp_path: Path, client_id: str, version: int, why: str
) -> None:
    async with node(tmp_path) as (running, port), device(port, version, client_id) as client:
        told = await client.inbox("told")
        await client.publish("ask/heat", b"", 0)
        assert (await anext(told)).payload.decode().startswith(f"NotConnected: {client_id}: {why}")
        assert running.dispatcher.counters["commands_refused"] == 1


async def test_a_device_that_has_left_is_not_connected(tmp_path: Path) -> None:
    async with node(tmp_path) as (running, port):
        async with device(port, 5) as client:
            await client.inbox("devices/d7/commands/#")
            assert running.mqtt.command("d7", "heat", b"", "1") is None
        someone = Device("d7", None, "mqtt5", running.dispatcher.commands)
        with pytest.raises(NotConnected, match="d7: it is not connected"):
            await someone.command("heat", timeout="1s")


async def test_a_caller_over_http_takes_no_commands(tmp_path: Path) -> None:
    async with node(tmp_path) as (running, _):
        someone = Device("127.0.0.1", None, "http", running.dispatcher.commands)
        with pytest.raises(NotConnected, match="http devices take no commands"):
            await someone.command("heat", timeout="1s")


async def test_a_name_that_is_no_segment_is_refused(tmp_path: Path) -> None:
    async with node(tmp_path) as (running, _):
        someone = Device("d7", None, "mqtt5", running.dispatcher.commands)
        with pytest.raises(ValueError, match=r"name 'a/b' is empty or has one of / \+ # NUL"):
            await someone.command("a/b", timeout="1s")
        with pytest.raises(ValueError, match="5 is not a duration"):
            await someone.command("a", timeout=5)  # pyright: ignore[reportArgumentType] (what is refused)
