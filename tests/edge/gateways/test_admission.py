"""Which requests are taken, by their caller's rate, their class's, and the load of the node."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.edge.access.access_support import device

from rimward.app.loading import load
from rimward.edge.config import CoapConfig, HttpConfig, NodeConfig
from rimward.edge.gateways.admission import Admission, Load, NotNow, RequestRates
from rimward.edge.gateways.overload import Overload, OverloadConfig
from rimward.edge.node import Node
from rimward.protocols.coap import ClientExchange, Message, Timing, request, uint
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import options as opt

from .contract.visitors import PATIENCE, Ws
from .http_house import parse

APP = """\
from rimward import App, coap, http, ws
app = App("rated", compat="2026-11-01")
@app.edge(http.post("/echo"))
def echo_http(body: bytes) -> bytes:
    return body
@app.edge(ws("/echo"))
def echo_ws(body: str) -> str:
    return body
@app.edge(coap.post("echo"))
def echo_coap(body: bytes) -> bytes:
    return body
@app.edge(http.post("/bulk"), priority="bulk")
def bulk_http(body: bytes) -> bytes:
    return body
"""
SECOND = 1_000_000_000
ECHO = ("http", "POST", "/echo")


def admission(
    rates: RequestRates, overload: Overload | None = None, largest: int = 100
) -> tuple[Admission, dict[str, int]]:
    counters: dict[str, int] = {}
    load = Load(overload, lambda _protocol, _method, path: path.removeprefix("/"))
    return Admission(rates, load, counters, 0.0, largest=largest), counters


def test_who_has_no_rates_and_a_calm_node_need_not_ask() -> None:
    overload = Overload(OverloadConfig())
    calm, _ = admission(RequestRates(), overload)
    assert not calm.asks
    overload.look(1.0, 0.0)
    assert calm.asks
    assert admission(RequestRates(bytes=1.0))[0].asks


def test_a_caller_has_a_burst_then_its_rate_and_others_have_theirs() -> None:
    one, counters = admission(RequestRates(requests=2.0, burst=2.0))
    route = ("http", "POST", "/normal")
    told = [one.refuse("a", route, 0, 0) for _ in range(5)]
    assert told[:4] == [None] * 4
    assert told[4] == NotNow(False, "more is sent than the caller's rate allows", 1)
    assert one.refuse("b", route, 0, 0) is None
    assert one.refuse("a", route, 0, SECOND // 2) is None
    assert one.refuse("a", route, 0, SECOND // 2) is not None
    assert counters == {"refused_busy": 0, "refused_over_rate": 2}


def test_bytes_have_a_rate_of_which_the_largest_body_fits_and_the_wait_is_told() -> None:
    one, _ = admission(RequestRates(bytes=10.0), largest=100)
    route = ("http", "POST", "/normal")
    assert one.refuse("a", route, 100, 0) is None
    assert one.refuse("a", route, 0, 0) is None, "what has no body costs no bytes"
    assert one.refuse("a", route, 50, 0) == NotNow(False, "more is sent than the caller's rate allows", 5)
    assert one.refuse("a", route, 50, 5 * SECOND) is None


def test_a_class_has_a_rate_that_all_callers_share_and_what_is_refused_costs_nobody_anything() -> None:
    one, _ = admission(RequestRates(requests=1.0, bulk=1.0, burst=1.0))
    assert one.refuse("a", ("http", "POST", "/bulk"), 0, 0) is None
    found = one.refuse("b", ("http", "POST", "/bulk"), 0, 0)
    assert found == NotNow(True, "more requests of the class bulk come than are taken", 1)
    assert one.refuse("b", ("http", "POST", "/normal"), 0, 0) is None


def test_an_overloaded_node_says_when_a_class_may_be_tried_again() -> None:
    overload = Overload(OverloadConfig(calm=4.5))
    one, counters = admission(RequestRates(), overload)
    overload.look(0.2, 0.0)
    found = one.refuse("a", ("coap", "POST", "/bulk"), 0, 0)
    assert found is not None
    assert (found.busy, found.after) == (True, 5)
    assert one.refuse("a", ("coap", "POST", "/normal"), 0, 0) is None
    assert counters["refused_busy"] == 1


class House:
    """A node with rates, on loopback."""

    def __init__(self, node: Node, ports: dict[str, int]) -> None:
        self.node, self.ports = node, ports

    async def post(self, path: str, *lines: str, body: bytes = b"x") -> tuple[int, dict[str, str], bytes]:
        """Post, on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports["http"])
        head = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines]
        writer.write("\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body)
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        writer.close()
        return parse(answer)

    async def coap(self, path: str) -> Message:
        """Post by a datagram."""
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(("127.0.0.1", self.ports["coap"]))
            exchange = ClientExchange(request(c.POST, path, b"x"), b"t", sock.fileno(), Timing(), 0)
            sock.send(exchange.outgoing[0])
            async with asyncio.timeout(PATIENCE):
                exchange.receive(await loop.sock_recv(sock, 65536), 0)
        assert exchange.response is not None
        return exchange.response


@asynccontextmanager
async def house(folder: Path, rates: RequestRates, access: str = "") -> AsyncGenerator[House]:
    file = folder / "app.py"
    file.write_text(APP)
    if access:
        (folder / "access.toml").write_text(access)
        (folder / "access.toml").chmod(0o600)
        access = str(folder / "access.toml")
    config = NodeConfig(
        app=str(file), data=str(folder), access=access, http=HttpConfig(rates=rates), coap=CoapConfig(rates)
    )
    doors = {name: socket.create_server(("127.0.0.1", 0)) for name in ("mqtt", "http")}
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    ports = {name: door.getsockname()[1] for name, door in doors.items()}
    async with Node(load(str(file)), config) as node:
        await node.serve(doors["mqtt"], doors["http"], (datagrams,))
        yield House(node, {**ports, "coap": datagrams.getsockname()[1]})


ONE = RequestRates(requests=0.01, burst=100.0)  # one at once, and the next after more than a minute


async def test_http_says_429_and_when_to_come_again(tmp_path: Path) -> None:
    async with house(tmp_path, ONE) as home:
        assert (await home.post("/echo"))[0] == 200
        status, headers, body = await home.post("/echo")
        assert (status, json.loads(body)["code"]) == (429, "busy")
        assert 60 < int(headers["retry-after"]) <= 100
        assert home.node.http.stats()["refused_over_rate"] == 1


async def test_http_says_503_for_a_class_and_takes_the_others(tmp_path: Path) -> None:
    async with house(tmp_path, RequestRates(bulk=0.01, burst=100.0)) as home:
        assert [(await home.post("/bulk"))[0] for _ in range(2)] == [200, 503]
        status, headers, _ = await home.post("/bulk", "Content-Encoding: gzip", body=b"no gzip")
        assert (status, int(headers["retry-after"]) > 60) == (503, True), "nothing of it is decoded"
        assert (await home.post("/echo"))[0] == 200


async def test_each_identity_has_a_rate_of_its_own_on_one_address(tmp_path: Path) -> None:
    async with house(tmp_path, ONE, device("ann") + device("bob")) as home:
        statuses: list[int] = []
        for name in ("ann", "ann", "bob"):
            shown = base64.b64encode(f"{name}:secret".encode()).decode()
            statuses.append((await home.post("/echo", f"Authorization: Basic {shown}"))[0])
        assert statuses == [200, 429, 200]


async def test_coap_says_4_29_with_a_max_age(tmp_path: Path) -> None:
    async with house(tmp_path, ONE) as home:
        assert (await home.coap("echo")).code == c.CHANGED
        told = await home.coap("echo")
        assert told.code == c.TOO_MANY_REQUESTS
        ages = [uint(value) for number, value in told.options if number == opt.MAX_AGE]
        assert len(ages) == 1
        assert 60 < ages[0] <= 100
        assert home.node.coap.stats()["refused_over_rate"] == 1


async def test_a_message_on_a_socket_is_refused_and_the_socket_stays(tmp_path: Path) -> None:
    rates = RequestRates(requests=0.01, burst=200.0)
    async with house(tmp_path, rates) as home, Ws(home.ports["http"]) as page:
        assert (await page.tell("echo", b'"1"')).body == b'"1"', "its opening was the first request"
        for _ in range(2):
            assert (await page.tell("echo", b'"2"')).code == "503"


@pytest.mark.parametrize("kind", ["http", "coap"])
async def test_an_overloaded_node_names_the_time_in_its_answer(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path, RequestRates()) as home:
        home.node.mqtt.weigh(9.0)
        if kind == "http":
            status, headers, _ = await home.post("/echo")
            assert (status, headers["retry-after"]) == (503, "3")
        else:
            told = await home.coap("echo")
            assert told.code == c.UNAVAILABLE
            assert (opt.MAX_AGE, b"\x03") in told.options
