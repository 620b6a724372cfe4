"""Requests whose head came before: answered as the longer way answers them, and in few calls."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

import pytest

from rimward.app.effects import Action
from rimward.app.loading import load
from rimward.edge.access import Access, Patterns
from rimward.edge.access.book import Book
from rimward.edge.access.file import AccessFile
from rimward.edge.access.tokens import Tokens
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.asked import Asked
from rimward.edge.dispatch.types import Sender
from rimward.edge.gateways.http import HttpConfig, HttpGateway
from rimward.edge.gateways.http.connection import Connection
from rimward.edge.outbox import Outbox
from rimward.observe import Trace

APP = """\
from msgspec import Struct
from rimward import App, Reject, Reply, http
app = App("lane", compat="2026-11-01")
class Reading(Struct):
    celsius: float
class Command(Struct):
    mode: str
@app.fact
class Hot(Struct):
    celsius: float
@app.edge(http.post("/limit"), budget="5s")
def limit(reading: Reading) -> Command:
    return Command("max" if reading.celsius > 30.0 else "low")
@app.edge(http.get("/rooms/{room}"))
def room(room: str, unit: str = "C") -> dict:
    return {"room": room, "unit": unit}
@app.edge(http.get("/number/{number}"))
def number(number: int) -> int:
    return number
@app.edge(http.put("/rooms/{room}"))
def put(room: str, reading: Reading) -> None:
    app.publish(f"rooms/{room}", reading.celsius)
@app.edge(http.delete("/rooms/{room}"))
def delete(room: str) -> Reply[Command]:
    return Reply(Command(room), status=202, headers={"x-room": room})
@app.edge(http.post("/hot"))
def hot(reading: Reading) -> Command:
    app.forward(Hot(reading.celsius))
    return Command("kept")
@app.edge(http.post("/text"))
def text(body: bytes) -> str:
    return body.decode()
@app.edge(http.post("/long"))
def long(reading: Reading) -> list:
    return ["a" * 100] * 20
@app.edge(http.post("/odd"))
def odd(reading: Reading) -> dict:
    app.publish("odd", "never")
    return {"a": object()}
@app.edge(http.post("/any"))
def any(reading: Reading):
    return [reading.celsius]
@app.edge(http.post("/raises"))
def raises(reading: Reading) -> Command:
    app.publish("raises", "never")
    raise ValueError("no")
@app.edge(http.post("/refuses"))
def refuses(reading: Reading) -> Command:
    raise Reject("conflict", "not now")
"""
READING = b'{"celsius":31.5}'
EVENT = ("ce-specversion: 1.0", "ce-id: 1", "ce-source: a", "ce-type: b")
CALLS = 10
TURN = 7  # calls that write what a turn of the loop has put out, two of them the wire's


class Wire(asyncio.Transport):
    """Keeps what is written, a piece a write."""

    def __init__(self, local: str = "127.0.0.1") -> None:
        super().__init__({"sockname": (local, 80)})
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Traces:
    def __init__(self) -> None:
        self.kept: list[Trace] = []

    def keep(self, trace: Trace) -> None:
        self.kept.append(trace)


class Router:
    def __init__(self) -> None:
        self.actions: list[Action] = []

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        raise NotImplementedError(topic, payload, qos, retain)

    def publish_all(self, actions: Sequence[Action]) -> None:
        self.actions += actions

    def flush(self) -> None:
        pass


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


class House:
    """A gateway before a dispatcher, with one caller."""

    def __init__(self, dispatcher: Dispatcher, traces: Traces, config: HttpConfig, *, lane: bool) -> None:
        self.dispatcher = dispatcher
        self.traces = traces
        self.router = dispatcher.router = Router()
        self.access = Access(None, dispatcher.clocks.monotonic)
        self.gateway = HttpGateway(
            dispatcher,
            clock=dispatcher.clocks.monotonic,
            config=config,
            on_dead=nobody_buried,
            access=self.access,
            lane=Asked(dispatcher) if lane else None,
        )
        self.gateway.begin(asyncio.get_running_loop())
        self.connect("127.0.0.1")

    def connect(self, local: str) -> None:
        """Go on as a new caller that has connected to an address."""
        self.wire, self.connection = Wire(local), Connection(self.gateway)
        self.connection.connection_made(self.wire)

    async def ask(self, data: bytes) -> bytes:
        """Send bytes in one read and return the answer."""
        before = len(self.wire.written)
        self.connection.data_received(data)
        async with asyncio.timeout(10):
            while len(self.wire.written) == before:  # noqa: ASYNC110 (a wire signals nothing)
                await asyncio.sleep(0)
        return b"".join(self.wire.written[before:])

    def passed_by(self) -> int:
        """Return how many calls took the short way."""
        return sum(run.figures.alone for run in self.dispatcher.functions.values())


def nobody_buried(reason: str, detail: str, sender: Sender, topic: str, payload: bytes) -> NoReturn:
    raise AssertionError(f"{reason}: {detail}: {sender}, {topic}, {payload!r}")


def write_app(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "app.py").write_text(APP)


@asynccontextmanager
async def house(
    folder: Path, *, lane: bool = True, config: HttpConfig | None = None
) -> AsyncGenerator[House]:
    write_app(folder)
    traces = Traces()
    clocks = Clocks(count(10**12, 1000).__next__, time.time_ns)  # a microsecond passes a look
    async with Outbox(folder, OutboxConfig(), time.time_ns) as outbox:
        tracing = Tracing("node-1", b"12345678", traces, lambda: str(outbox.epoch))
        dispatcher = Dispatcher(load(str(folder / "app.py")), "node-1", clocks, outbox, tracing)
        yield House(dispatcher, traces, config or HttpConfig(), lane=lane)


def request(method: str, target: str, body: bytes = b"", *lines: str) -> bytes:
    fields = ["Host: localhost", *lines, *([f"Content-Length: {len(body)}"] if body else [])]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *fields, "", ""]).encode() + body


SHORT = {
    "a value": request("POST", "/limit", READING, "Content-Type: application/json"),
    "no content type": request("POST", "/limit", READING),
    "fields that change nothing": request("POST", "/limit", READING, "User-Agent: a/1", "Accept: */*"),
    "msgpack": request(
        "POST",
        "/limit",
        b"\x81\xa7celsius\x1e",
        "Content-Type: application/msgpack",
        "Accept: application/json",
    ),
    "a capture and a query": request("GET", "/rooms/hall%207?unit=F"),
    "a number": request("GET", "/number/7"),
    "nothing": request("PUT", "/rooms/hall", READING),
    "a reply with a status": request("DELETE", "/rooms/hall"),
    "a fact": request("POST", "/hot", READING),
    "a long value": request("POST", "/long", READING),
    "a long value, compressed": request("POST", "/long", READING, "Accept-Encoding: gzip"),
    "a value that can't be written": request("POST", "/odd", READING),
    "a type that is not said": request("POST", "/any", READING),
    "an error": request("POST", "/raises", READING),
    "a refusal": request("POST", "/refuses", READING),
}
LONG = {
    "a payload that does not fit": request("POST", "/limit", b'{"celsius":"x"}'),
    "a content type that can't be read": request("POST", "/limit", READING, "Content-Type: image/png"),
    "a text": request("POST", "/text", b"hello"),
    "a reply as msgpack": request("POST", "/limit", READING, "Accept: application/msgpack"),
    "an idempotency key": request("POST", "/limit", READING, "Idempotency-Key: 1"),
    "a page's origin": request("POST", "/limit", READING, "Origin: http://localhost"),
    "credentials": request("POST", "/limit", READING, "Authorization: Bearer a"),
    "a condition": request("GET", "/number/7", b"", "If-None-Match: *"),
    "a page of another site": request("GET", "/number/7", b"", "Sec-Fetch-Site: cross-site"),
    "another host": request("GET", "/number/7").replace(b"localhost", b"example.com"),
    "no such capture": request("GET", "/number/x"),
    "no such path": request("GET", "/nothing"),
    "no such method": request("PATCH", "/limit", READING),
    "a head alone": request("HEAD", "/number/7"),
    "an event": request("POST", "/limit", READING, *EVENT),
}


@pytest.mark.parametrize("sent", [*SHORT.values(), *LONG.values()], ids=[*SHORT, *LONG])
async def test_the_second_time_the_answer_is_the_same_as_by_the_longer_way(
    tmp_path: Path, sent: bytes
) -> None:
    async with house(tmp_path / "a") as short, house(tmp_path / "b", lane=False) as long:
        for _ in range(3):
            assert await short.ask(sent) == await long.ask(sent)
        assert short.passed_by() == (2 if sent in SHORT.values() else 0)
        assert short.gateway.stats() == long.gateway.stats()
        assert short.router.actions == long.router.actions
        assert short.dispatcher.counters == long.dispatcher.counters
        assert (short.dispatcher.events, short.dispatcher.actions) == (
            long.dispatcher.events,
            long.dispatcher.actions,
        )
        figures = [
            {name: (run.figures.calls, run.figures.errors) for name, run in one.dispatcher.functions.items()}
            for one in (short, long)
        ]
        assert figures[0] == figures[1]
        assert [trace.error for trace in short.traces.kept] == [trace.error for trace in long.traces.kept]


async def test_a_known_head_in_pieces_or_with_more_behind_it_is_read_the_longer_way(tmp_path: Path) -> None:
    sent = SHORT["a value"]
    async with house(tmp_path) as one:
        answer = await one.ask(sent)
        one.connection.data_received(sent[:-5])
        assert await one.ask(sent[-5:]) == answer
        assert await one.ask(b"\r\n" + sent) == answer
        assert await one.ask(sent * 3) == answer * 3
        assert one.passed_by() == 0
        assert await one.ask(sent) == answer
        assert one.passed_by() == 1


async def test_a_known_head_waits_for_the_answers_that_are_owed(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        fact, value = SHORT["a fact"], SHORT["a value"]
        answers = await one.ask(fact) + await one.ask(value)
        one.connection.data_received(fact)  # its answer waits for the disk
        both = await one.ask(value)
        while len(both) < len(answers):
            both += await one.ask(b"")
        assert both == answers


async def test_an_access_file_that_comes_later_is_asked_for_heads_that_are_known(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        for _ in range(2):
            assert (await one.ask(SHORT["a value"])).startswith(b"HTTP/1.1 200 ")
        one.access.book = Book(AccessFile(), Patterns(), Tokens((), tmp_path, lambda: 0))
        assert (await one.ask(SHORT["a value"])).startswith(b"HTTP/1.1 401 ")


async def test_a_host_that_is_one_address_of_the_node_is_foreign_at_another(tmp_path: Path) -> None:
    sent = SHORT["a value"].replace(b"localhost", b"10.0.0.5")
    async with house(tmp_path) as one:
        for local, status in (("10.0.0.5", b"200"), ("10.0.0.6", b"421"), ("10.0.0.5", b"200")):
            one.connect(local)
            for _ in range(2):
                assert (await one.ask(sent)).startswith(b"HTTP/1.1 " + status)
        assert one.passed_by() == 3


async def test_heads_are_forgotten_and_counted_beyond_the_limit(tmp_path: Path) -> None:
    async with house(tmp_path, config=HttpConfig(known_heads=2)) as one:
        for number in range(5):
            await one.ask(request("GET", f"/number/{number}"))
        assert one.gateway.stats()["heads_forgotten"] == 4
        assert (await one.ask(request("GET", "/number/4"))).endswith(b"\r\n\r\n4")
        assert one.passed_by() == 1


async def test_a_known_head_takes_few_calls_and_one_write(tmp_path: Path) -> None:
    sent = SHORT["a value"]
    async with house(tmp_path) as one:
        answer = [await one.ask(sent) for _ in range(3)][-1]
        assert len(one.traces.kept) == 1
        one.wire.written.clear()
        with Calls() as calls:
            one.connection.data_received(sent)
            one.gateway.flush()  # as at the end of the loop's turn
        assert one.wire.written == [answer]
        assert len(calls.names) <= CALLS + TURN, calls.names
