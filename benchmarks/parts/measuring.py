"""The parts, measured in one process: run with the package that is to be measured. Prints one JSON object.

Times are this thread's CPU time, ns an event, the median of many batches.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from rimward.app.effects import current
from rimward.app.loading import load
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.call import LaneCall
from rimward.edge.dispatch.functions import Figures
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.connection import Connection
from rimward.edge.gateways.mqtt.gateway import MqttGateway
from rimward.edge.outbox import Outbox
from rimward.observe import Ring
from rimward.protocols.mqtt import Connect, Packet, Publish, ServerSession, Subscribe, Subscription
from rimward.protocols.mqtt.encoding import encode, plain_publish
from rimward.protocols.mqtt.subscriptions import Options, Subscriptions

READING = b'{"celsius":31.5,"place":"hall 7, rack 12, shelf 3, left of the door, second probe from above"}'
COMMAND = b'{"mode":"max"}'
HEAD = b"\0\x0fbench/1/command"
TOPIC = "bench/1/reading"
TIMES, BATCHES = 400, 150
Part = Callable[[], object]


def ns(part: Part, events: int = 1) -> float:
    """Return what one event costs in a part that does some at a time."""
    clock, batches = time.thread_time_ns, list[float]()
    for _ in range(BATCHES):
        begun = clock()
        for _ in range(TIMES):
            part()
        batches.append((clock() - begun) / TIMES / events)
    return median(batches)


class _Wire(asyncio.Transport):
    """Takes what is written."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        del data


class _Nowhere:
    """Keeps no trace, stores nothing, sends nothing."""

    def keep(self, trace: object) -> None:
        del trace

    def publish_all(self, actions: object) -> None:
        del actions

    def __call__(self, *_: object) -> Any:
        raise AssertionError


def session_of(packets: list[Packet]) -> ServerSession:
    """Return a session behind its handshake that knows the topics of some packets."""
    session = ServerSession(0.0)
    session.receive_data(encode(Connect("a"), 4), 0.0)
    session.accept()
    for packet in packets:
        session.receive_data(encode(packet, 4), 0.0)
    return session


def pure_parts() -> dict[str, float]:
    """Return the parts that need no node."""
    session, one = session_of([Publish(TOPIC, READING)]), encode(Publish(TOPIC, READING), 4)
    eight = one * 8
    tree: Subscriptions[int] = Subscriptions()
    for number in range(2_000):
        tree.add(f"bench/{number}/+" if number % 2 else f"bench/{number}/command", number, Options())
    figures, add, clock = Figures(0.005), Ring(1024).add, time.monotonic_ns
    figures.sample_at = 1 << 62

    def telemetry() -> None:
        clock()
        clock()
        span = ("guard", 0, 2_000, 3_500)
        add(span)
        figures.take(span)

    def batch() -> None:
        for _ in range(64):
            telemetry()
        figures.count()

    return {
        "decode, one packet a read": ns(lambda: session.cut(one)),
        "decode, eight a read": ns(lambda: session.cut(eight), 8),
        "match, 2,000 filters, not remembered": ns(lambda: tree.match("bench/7/command")),
        "encode": ns(lambda: plain_publish(HEAD, COMMAND)),
        "telemetry": ns(batch, 64),
    }


async def node_parts(folder: Path) -> dict[str, float]:
    """Return the parts that need a node's dispatcher and gateway."""
    clocks, nowhere = Clocks(time.monotonic_ns, time.time_ns), _Nowhere()
    app = load(str(Path(__file__).parents[1] / "rig" / "app.py"))
    async with Outbox(folder, OutboxConfig(), time.time_ns) as outbox:
        tracing = Tracing("node-1", b"12345678", nowhere, lambda: str(outbox.epoch))
        dispatcher = Dispatcher(app, "node-1", clocks, outbox, tracing)
        gateway = MqttGateway(
            dispatcher,
            clock=clocks.monotonic,
            config=MqttConfig(),
            load_retained=dict,
            store_retained=nowhere,
            on_dead=nowhere,
        )
        dispatcher.router = gateway
        gateway.begin(asyncio.get_running_loop())
        connection = Connection(gateway)
        connection.connection_made(_Wire())
        wish = Subscribe(1, (Subscription("bench/1/command", 0),))
        connection.data_received(encode(Connect("a"), 4) + encode(wish, 4))
        gateway.flush()
        data, sender = encode(Publish(TOPIC, READING), 4), Sender("a", "mqtt3")
        actions = [("bench/1/command", COMMAND, 0, False)]

        def event() -> None:
            connection.data_received(data)
            gateway.flush()

        def send() -> None:
            gateway.publish_all(actions)
            gateway.flush()

        whole = ns(event)
        written = ns(send)
        guard, call = app.edge_functions[0].plan.function, LaneCall(dispatcher)
        reading: Any = dispatcher.functions["guard"].decoded(READING, None)
        token = current.set(call)

        def function() -> None:
            call.actions = []
            guard("1", reading)

        own = ns(function)
        call.actions = None
        current.reset(token)
        dispatcher.router = nowhere
        lane = ns(lambda: dispatcher.plain(TOPIC, READING, 0, sender, clocks.monotonic()))
        return {
            "function and app.publish": own,
            "dispatch, with payload, function and telemetry": lane,
            "route, encode and hand to the transport": written,
            "the whole event, without system calls": whole,
        }


def main() -> int:
    parts = pure_parts()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        parts |= asyncio.run(node_parts(Path(folder)))
    print(json.dumps(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
