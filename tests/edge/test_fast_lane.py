"""From a connection to its CONNACK, and from a plain event to its action: what is said, in how many calls."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from rimward.app.loading import load
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.connection import Connection
from rimward.edge.gateways.mqtt.gateway import MqttGateway
from rimward.edge.keeping import Keeper
from rimward.edge.outbox import Outbox
from rimward.observe import Trace
from rimward.protocols.mqtt import Connect, Packet, Publish, Subscribe, Subscription
from rimward.protocols.mqtt.encoding import encode

APP = """\
from msgspec import Struct
from rimward import App, mqtt
app = App("lane", compat="2026-11-01")
class Reading(Struct):
    celsius: float
@app.edge(mqtt("{device}/reading"), budget="5s")
def guard(device: str, reading: Reading) -> None:
    app.publish(f"{device}/command", {"mode": "max"}, qos=1)
@app.fact
class Warm(Struct):
    device: str
    celsius: float
@app.edge(mqtt("{device}/kept"), budget="5s")
def keep(device: str, reading: Reading) -> None:
    app.forward(Warm(device, reading.celsius))
"""


CONNECTING = 77  # calls from a connection to its CONNACK; there were 109 (docs/adr/0062)
TURN = 2  # calls for all that one turn of the loop reads, however many events: flush_soon and flush


class Wire(asyncio.Transport):
    """Keeps what is written, a piece a write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """Leave it to the test to end."""


class Traces:
    def __init__(self) -> None:
        self.kept: list[Trace] = []

    def keep(self, trace: Trace) -> None:
        self.kept.append(trace)


class Calls:
    """Counts the calls of Python functions while it is entered."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __enter__(self) -> Self:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name != "__exit__":
            self.names.append(frame.f_code.co_qualname)


def nobody_buried(reason: str, detail: str, sender: Sender, topic: str, payload: bytes) -> NoReturn:
    raise AssertionError(f"{reason}: {detail}: {sender}, {topic}, {payload!r}")


@asynccontextmanager
async def gateway_at(tmp_path: Path, traces: Traces) -> AsyncGenerator[MqttGateway]:
    """Open a gateway with everything behind it, and no sockets."""
    (tmp_path / "app.py").write_text(APP)
    clocks = Clocks(count(10**12, 1000).__next__, time.time_ns)  # a microsecond passes a look
    async with Outbox(tmp_path, OutboxConfig(), time.time_ns) as outbox:
        tracing = Tracing("node-1", b"12345678", traces, lambda: str(outbox.epoch))
        dispatcher = Dispatcher(load(str(tmp_path / "app.py")), "node-1", clocks, outbox, tracing)
        gateway = MqttGateway(
            dispatcher,
            clock=clocks.monotonic,
            config=MqttConfig(),
            disk=Keeper(outbox, clocks),
            on_dead=nobody_buried,
        )
        dispatcher.router = gateway
        gateway.begin(asyncio.get_running_loop())
        yield gateway


async def calls_of(tmp_path: Path, qos: int, readings: int) -> tuple[list[str], list[bytes]]:
    """Return the calls that one read of some readings takes once the topics are known, and its writes."""
    traces = Traces()
    async with gateway_at(tmp_path, traces) as gateway:
        wire, connection = Wire(), Connection(gateway)
        connection.connection_made(wire)

        def read(*packets: Packet) -> None:
            connection.data_received(b"".join(encode(packet, 4) for packet in packets))
            gateway.flush()

        read(Connect("a"), Subscribe(1, (Subscription("a/command", qos),)))
        for number in range(1, 4):  # the topic becomes known, and the sample of this second is taken
            read(Publish("a/reading", b'{"celsius":31.0}', qos, packet_id=number * qos))
        assert len(traces.kept) == 1
        wire.written.clear()
        packets = [
            Publish("a/reading", b'{"celsius":31.0}', qos, packet_id=(4 + number) * qos)
            for number in range(readings)
        ]
        data = b"".join(encode(packet, 4) for packet in packets)
        with Calls() as calls:
            connection.data_received(data)
            gateway.flush()  # as at the end of the loop's turn
    return calls.names, wire.written


async def test_a_connection_is_let_in_in_few_calls(tmp_path: Path) -> None:
    calls = Calls()
    async with gateway_at(tmp_path, Traces()) as gateway:
        calls = Calls()
        for number in range(2):  # the first fills what is remembered
            wire, data = Wire(), encode(Connect(f"device-{number}"), 4)
            calls = Calls()
            with calls:
                connection = gateway.connection()
                connection.connection_made(wire)
                connection.data_received(data)
                gateway.flush()
            assert wire.written == [b"\x20\x02\0\0"]
    assert len(calls.names) <= CONNECTING, calls.names


async def test_a_plain_event_takes_few_calls_and_one_write(tmp_path: Path) -> None:
    names, written = await calls_of(tmp_path, 0, 1)
    command = encode(Publish("a/command", b'{"mode":"max"}'), 4)
    assert written == [command]
    assert len(names) <= 12 + TURN, names


async def test_one_at_qos_1_takes_little_more_and_the_same_one_write(tmp_path: Path) -> None:
    names, [written] = await calls_of(tmp_path, 1, 1)
    assert b'{"mode":"max"}' in written
    assert written.endswith(b"\x40\x02\x00\x04")  # the acknowledgement
    assert len(names) <= 14 + TURN, names


async def test_events_that_share_a_read_share_its_calls_and_its_write(tmp_path: Path) -> None:
    names, written = await calls_of(tmp_path, 0, 8)
    command = encode(Publish("a/command", b'{"mode":"max"}'), 4)
    assert written == [command * 8]
    assert len(names) <= 8 * 7 + 5 + TURN, names
