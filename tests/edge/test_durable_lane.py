"""From an event that leaves facts and nothing else to its acknowledgement: its order and its calls."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType

import rimward
from rimward.edge.dispatch import Dispatcher
from rimward.edge.gateways.mqtt.connection import Connection
from rimward.edge.gateways.mqtt.gateway import MqttGateway
from rimward.edge.outbox import Outbox
from rimward.protocols.mqtt import Connect, Publish
from rimward.protocols.mqtt.encoding import encode

from .outbox.test_shell import Gate
from .test_fast_lane import Calls, Traces, Wire, gateway_at

TAKEN = 20  # calls from the bytes of a reading that is forwarded to its place in the outbox's group
LANDED = 11  # calls from the disk's word to its acknowledgement; there were 69 for both (docs/adr/0111)
GROUP = 12  # calls for a group of them
OURS = str(Path(rimward.__file__).parent)
PLAIN = encode(Publish("a/reading", b'{"celsius":31.0}', 1, packet_id=9), 4)  # nothing durable comes of it


class OwnCalls(Calls):
    """Counts those of the platform alone."""

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if frame.f_code.co_filename.startswith(OURS):
            super()._note(frame, event, _)


class Device:
    """A connection without a socket."""

    def __init__(self, gateway: MqttGateway, name: str) -> None:
        self.wire, self._gateway, self.connection = Wire(), gateway, Connection(gateway)
        self.connection.connection_made(self.wire)
        self.send(encode(Connect(name), 4))
        self.wire.written.clear()

    def send(self, data: bytes) -> None:
        """Let bytes come, and write what they are answered at once."""
        self.connection.data_received(data)
        self._gateway.flush()

    async def acknowledged(self, *numbers: int) -> None:
        """Wait until just these readings are acknowledged, in this order."""
        wanted = b"".join(b"\x40\x02" + number.to_bytes(2) for number in numbers)
        while len(b"".join(self.wire.written)) < len(wanted):  # noqa: ASYNC110 (a wire has no event)
            await asyncio.sleep(0)
        assert b"".join(self.wire.written) == wanted
        self.wire.written.clear()


def kept(*numbers: int) -> bytes:
    """Return readings that are forwarded, by their packet ids."""
    packets = [Publish("a/kept", b'{"celsius":31.0}', 1, packet_id=number) for number in numbers]
    return b"".join(encode(packet, 4) for packet in packets)


@contextmanager
def held(gateway: MqttGateway) -> Generator[Gate]:
    """Hold the disk, at the latest until this is left."""
    gate = Gate(behind(gateway)[1])
    try:
        yield gate
    finally:
        gate.open.set()


def behind(gateway: MqttGateway) -> tuple[Dispatcher, Outbox]:
    dispatcher = gateway.door
    assert isinstance(dispatcher, Dispatcher)
    assert isinstance(dispatcher.outbox, Outbox)
    return dispatcher, dispatcher.outbox


@asynccontextmanager
async def device_at(tmp_path: Path) -> AsyncGenerator[tuple[MqttGateway, Device]]:
    """Open a gateway with a device whose topic and fact are known."""
    async with gateway_at(tmp_path, Traces()) as gateway:
        device = Device(gateway, "a")
        for number in range(1, 4):
            device.send(kept(number))
            await device.acknowledged(number)
        yield gateway, device


async def test_events_of_a_group_take_few_calls_in_and_few_out_again(tmp_path: Path) -> None:
    async with device_at(tmp_path) as (gateway, device):
        devices, data = [Device(gateway, f"b{number}") for number in range(8)], kept(7)
        with held(gateway) as gate:
            device.send(kept(4))
            await asyncio.to_thread(gate.begun.acquire)
            with OwnCalls() as calls:
                for one in devices:
                    one.connection.data_received(data)
        assert len(calls.names) <= TAKEN * len(devices), (len(calls.names), calls.names)
        await device.acknowledged(4)
        with OwnCalls() as calls:
            for one in devices:
                await one.acknowledged(7)
        assert len(calls.names) <= LANDED * len(devices) + GROUP, (len(calls.names), calls.names)


async def test_what_comes_behind_an_event_that_waits_is_answered_behind_it(tmp_path: Path) -> None:
    async with device_at(tmp_path) as (gateway, device):
        device.send(PLAIN)
        await device.acknowledged(9)
        with held(gateway) as gate:
            device.send(kept(4, 5) + PLAIN + kept(6))
            await asyncio.to_thread(gate.begun.acquire)
            assert not device.wire.written
        await device.acknowledged(4, 5, 9, 6)


async def test_a_packet_id_whose_answer_waits_runs_nothing_again(tmp_path: Path) -> None:
    async with device_at(tmp_path) as (gateway, device):
        counters = behind(gateway)[0].counters
        before = counters["forwards"]
        device.send(kept(4, 5, 4))
        assert counters["forwards"] == before + 2
        assert device.connection.session.closed


async def test_what_the_disk_refuses_is_not_acknowledged(tmp_path: Path) -> None:
    async with device_at(tmp_path) as (gateway, device):
        with held(gateway) as gate:
            gate.fail = sqlite3.OperationalError("disk I/O error")
            device.send(kept(4))
        while not device.connection.session.closed:  # noqa: ASYNC110 (it is asked as a device would be)
            await asyncio.sleep(0)
        device.send(kept(5))
        assert b"\x40\x02" not in b"".join(device.wire.written)
        assert gateway.counters["refused_full"] == 1
