"""Every gateway keeps the contract of docs/gateways.md, told by a device of its protocol on a real node."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from rimward.app.loading import load
from rimward.edge.config import NodeConfig, OutboxConfig
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.overload import OverloadConfig
from rimward.edge.node import Node
from rimward.events import REFUSALS

from .coap_visitors import CoapTcp, CoapUdp
from .visitors import GOODBYES as OTHERS_GOODBYES
from .visitors import PATIENCE, Visitor
from .visitors import VISITORS as OTHERS

APP = """\
import asyncio
from msgspec import Struct
from rimward import App, Reject, State, coap, http, mqtt, ws
app = App("contract", compat="2026-11-01")
class Reading(Struct):
    celsius: float
class Answer(Struct):
    seen: float
@app.fact
class Seen(Struct):
    device: str
    celsius: float
@app.state(key="device", durable=True)
class Device(Struct):
    count: int = 0
CODES = {91: "invalid", 92: "denied", 93: "not-found", 94: "conflict", 95: "busy"}
def decide(device: str, reading: Reading, state: State[Device]) -> Answer:
    state.value.count += 1
    app.forward(Seen(device, reading.celsius))
    if reading.celsius > 90:
        raise Reject(CODES[reading.celsius])
    return Answer(reading.celsius)
@app.edge(mqtt("ask/{device}"))
def ask_mqtt(device: str, reading: Reading, state: State[Device]) -> Answer:
    return decide(device, reading, state)
@app.edge(http.post("/ask/{device}"))
def ask_http(device: str, reading: Reading, state: State[Device]) -> Answer:
    return decide(device, reading, state)
@app.edge(ws("/ask/{device}"))
def ask_ws(device: str, reading: Reading, state: State[Device]) -> Answer:
    return decide(device, reading, state)
@app.edge(coap.post("ask/{device}"))
def ask_coap(device: str, reading: Reading, state: State[Device]) -> Answer:
    return decide(device, reading, state)
async def think() -> Answer:
    begun.set()
    async with asyncio.timeout(20):
        await go_on.wait()
    return Answer(1.0)
begun, go_on = asyncio.Event(), asyncio.Event()
@app.edge(mqtt("think"))
async def think_mqtt(payload: bytes) -> Answer:
    return await think()
@app.edge(http.post("/think"))
async def think_http(payload: bytes) -> Answer:
    return await think()
@app.edge(ws("/think"))
async def think_ws(payload: bytes) -> Answer:
    return await think()
@app.edge(coap.post("think"))
async def think_coap(payload: bytes) -> Answer:
    return await think()
"""
PRIORITIES = """\
@app.edge(mqtt("{name}"), priority="{name}")
def {name}_mqtt(reading: Reading) -> Answer:
    return Answer(reading.celsius)
@app.edge(http.post("/{name}"), priority="{name}")
def {name}_http(reading: Reading) -> Answer:
    return Answer(reading.celsius)
@app.edge(ws("/{name}"), priority="{name}")
def {name}_ws(reading: Reading) -> Answer:
    return Answer(reading.celsius)
@app.edge(coap.post("{name}"), priority="{name}")
def {name}_coap(reading: Reading) -> Answer:
    return Answer(reading.celsius)
"""
CLASSES = PRIORITIES.format(name="bulk") + PRIORITIES.format(name="critical")
WARM = b'{"celsius": 3}'
VISITORS = {**OTHERS, "coap": CoapUdp, "coap+tcp": CoapTcp}
GOODBYES = {**OTHERS_GOODBYES, "coap": "reset", "coap+tcp": "7.05"}
kinds = pytest.mark.parametrize("kind", VISITORS)


class House:
    """A node, and its visitors."""

    def __init__(self, node: Node, ports: dict[str, int]) -> None:
        self.node = node
        self.ports = ports

    def visitor(self, kind: str) -> Visitor:
        made = VISITORS[kind]
        return made(self.ports[getattr(made, "gateway")])  # noqa: B009 (a class that is called as a factory)

    def stat(self, visitor: Visitor, name: str) -> int:
        return self.node.health.snapshot().gateways[visitor.gateway].get(name, 0)


def both() -> tuple[socket.socket, socket.socket]:
    """Return a listening socket, and one for datagrams on the same port."""
    while True:
        stream, datagrams = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
        try:
            datagrams.bind(stream.getsockname())
        except OSError:  # another one has it: try the next
            stream.close()
            datagrams.close()
            continue
        return stream, datagrams


@asynccontextmanager
async def house(
    tmp_path: Path, outbox: OutboxConfig | None = None, overload: OverloadConfig | None = None
) -> AsyncGenerator[House]:
    file = tmp_path / "app.py"
    file.write_text(APP + CLASSES)
    mqtt = MqttConfig(overload=overload or OverloadConfig())
    config = NodeConfig(app=str(file), data=str(tmp_path), outbox=outbox or OutboxConfig(), mqtt=mqtt)
    doors = {name: socket.create_server(("127.0.0.1", 0)) for name in ("mqtt", "http")}
    doors["coap"], datagrams = both()
    async with Node(load(str(file)), config) as node:
        await node.serve(doors["mqtt"], doors["http"], (doors["coap"], datagrams))
        yield House(node, {name: door.getsockname()[1] for name, door in doors.items()})


@kinds
async def test_an_event_is_decoded_dispatched_and_answered_when_it_is_on_disk(
    tmp_path: Path, kind: str
) -> None:
    async with house(tmp_path) as home, home.visitor(kind) as visitor:
        heard = await visitor.tell("ask/7", WARM)
        assert (heard.code, heard.body) == ("ok", b'{"seen":3.0}' if visitor.replies else b"")
        assert home.node.outbox.stats()["rows"] == 1


@kinds
async def test_what_does_not_fit_its_type_is_refused_with_its_field_and_buried(
    tmp_path: Path, kind: str
) -> None:
    async with house(tmp_path) as home, home.visitor(kind) as visitor:
        heard = await visitor.tell("ask/7", b'{"celsius": "warm"}')
        assert heard.code == visitor.code(REFUSALS["payload"])
        if visitor.replies:
            assert "celsius" in heard.detail
        assert home.node.outbox.stats()["dead_letters"] == 1


@kinds
@pytest.mark.parametrize(
    ("celsius", "refusal"),
    [(91, "invalid"), (92, "denied"), (93, "not-found"), (94, "conflict"), (95, "busy"), (96, "failed")],
)
async def test_a_refusal_is_told_in_the_protocols_own_words(
    tmp_path: Path, kind: str, celsius: int, refusal: str
) -> None:
    async with house(tmp_path) as home, home.visitor(kind) as visitor:
        heard = await visitor.tell("ask/7", b'{"celsius": %d}' % celsius)
        assert heard.code == visitor.code(REFUSALS[refusal])
        assert home.node.outbox.stats()["rows"] == 0


@kinds
async def test_a_full_node_says_so_and_takes_nothing(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path, OutboxConfig(max_bytes=1)) as home, home.visitor(kind) as visitor:
        heard = await visitor.tell("ask/7", WARM)
        assert heard.code == visitor.code(REFUSALS["full"])


@kinds
async def test_a_node_whose_outbox_fills_up_refuses_the_lowest_class_before_it_decodes_anything(
    tmp_path: Path, kind: str
) -> None:
    outbox, nearly = OutboxConfig(max_bytes=1 << 20), OverloadConfig(bulk_fill=1e-5, normal_fill=0.9)
    async with house(tmp_path, outbox, nearly) as home, home.visitor(kind) as lowest:
        assert (await lowest.tell("bulk", WARM)).code == "ok"
        async with home.visitor(kind) as another:
            assert (await another.tell("ask/7", WARM)).code == "ok"
        assert 1e-5 <= home.node.outbox.fill() < 0.9, "that fact is in the outbox"
        home.node.mqtt.weigh(0.0)  # as it does every second
        async with home.visitor(kind) as highest:
            assert (await highest.tell("critical", WARM)).code == "ok"
        heard = await lowest.tell("bulk", b"no JSON")
        assert heard.code == lowest.code(REFUSALS["busy"])
        assert home.node.outbox.stats()["dead_letters"] == 0
        assert home.stat(lowest, "refused_busy") == 1


@kinds
async def test_who_breaks_the_protocol_is_told_and_nobody_else_is_disturbed(
    tmp_path: Path, kind: str
) -> None:
    async with house(tmp_path) as home, home.visitor(kind) as other, home.visitor(kind) as visitor:
        assert await visitor.babble() == GOODBYES[kind]
        assert (await other.tell("ask/7", WARM)).code == "ok"


@kinds
async def test_a_node_that_stops_answers_what_it_has_taken(tmp_path: Path, kind: str) -> None:
    async with AsyncExitStack() as stack, AsyncExitStack() as outside:
        home = await stack.enter_async_context(house(tmp_path))
        inside = home.node.dispatcher.functions["think_mqtt"].call.__globals__
        visitor = await outside.enter_async_context(home.visitor(kind))
        async with asyncio.timeout(PATIENCE):
            waiting = asyncio.ensure_future(visitor.tell("think", b""))
            await inside["begun"].wait()
            stopping = asyncio.ensure_future(stack.aclose())
            await asyncio.sleep(0)  # it has begun to stop
            inside["go_on"].set()
            assert (await waiting).code == "ok"
            await stopping


@pytest.mark.parametrize("kind", [kind for kind in VISITORS if kind != "coap"])  # whose datagrams have none
async def test_connections_are_counted_in_and_out(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path) as home:
        async with home.visitor(kind) as visitor:
            await visitor.tell("ask/7", WARM)
            assert home.stat(visitor, "connections") == 1
        async with asyncio.timeout(PATIENCE):
            while home.stat(visitor, "connections"):  # noqa: ASYNC110 (the gateway counts, it does not signal)
                await asyncio.sleep(0)
