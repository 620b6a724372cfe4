"""A dispatcher on a real outbox, for apps written in a test."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent

import msgspec

from rimward.app import App
from rimward.app.effects import Action
from rimward.app.loading import load
from rimward.app.settings import settings_of
from rimward.edge.api import read_account
from rimward.edge.cells import STATES, StatesConfig
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.keys import STREAMS, StreamsConfig
from rimward.edge.dispatch.types import Commits, Message, Request, Sender, Ticket
from rimward.edge.outbox import Outbox
from rimward.observe import Trace

HEAD = """\
import asyncio
from datetime import datetime
from msgspec import Struct
from rimward import App, Device, Event, Reject, State, States, Stream, every, http, mqtt
app = App("test", compat="2026-11-01")
class Reading(Struct):
    celsius: float
class Timed(Struct):
    celsius: float
    at: datetime
@app.fact
class Warm(Struct):
    truck: str
    celsius: float
@app.fact
class Mean(Struct):
    truck: str
    mean: float
@app.state(key="truck", durable=True)
class Truck(Struct):
    count: int = 0
"""


class Bench:
    """A dispatcher on a real outbox, with a router and a trace sink that keep what they get."""

    def __init__(self) -> None:
        self.moved = 0  # ns that a test has put its wall clock forward
        self.sent: list[tuple[str, bytes]] = []
        self.traces: list[Trace] = []
        self.dispatcher: Dispatcher
        self.outbox: Outbox
        self.app: App

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        self.sent.append((topic, payload))
        return 1

    def publish_all(self, actions: Sequence[Action]) -> None:
        for topic, payload, qos, retain in actions:
            self.publish(topic, payload, qos, retain=retain)

    def flush(self) -> None:
        """Nothing is held back here."""

    def wall(self) -> int:
        return time.time_ns() + self.moved

    def keep(self, trace: Trace) -> None:
        self.traces.append(trace)

    async def message(
        self,
        topic: str,
        payload: object,
        *,
        qos: int = 1,
        protocol: str = "mqtt5",
        content_type: str | None = None,
        reply: bool = True,
        commits: Commits | None = None,
    ) -> Ticket | None:
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        message = Message(
            topic,
            body,
            qos,
            Sender("device", protocol, "anna"),
            time.monotonic_ns(),
            content_type=content_type,
            response_topic="r" if reply else None,
            commits=commits,
        )
        return await answered(self.dispatcher.message(message))

    async def get(
        self,
        path: str,
        query: str = "",
        method: str = "GET",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Ticket:
        sender = Sender("peer", "http")
        request = Request(method, path, query, headers or {}, body, sender, time.monotonic_ns())
        ticket = await answered(self.dispatcher.request(request))
        assert ticket is not None
        return ticket


async def answered(ticket: Ticket | None) -> Ticket | None:
    if ticket is not None and not ticket.done:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.on_done = lambda _: done.set_result(None)
        await asyncio.wait_for(done, 10)
    return ticket


@asynccontextmanager
async def bench(
    tmp_path: Path,
    functions: str,
    settings: dict[str, str] | None = None,
    limits: OutboxConfig | None = None,
    streams: StreamsConfig = STREAMS,
    states: StatesConfig = STATES,
) -> AsyncGenerator[Bench]:
    file = tmp_path / "app.py"
    file.write_text(HEAD + dedent(functions))
    app = load(str(file))
    made = Bench()
    folder = tmp_path / "node"
    folder.mkdir(exist_ok=True)
    async with Outbox(folder, limits or OutboxConfig(), made.wall) as outbox:
        tracing = Tracing("node-1", b"12345678", made, lambda: str(outbox.epoch))
        made.outbox, made.app = outbox, app
        made.dispatcher = Dispatcher(
            app,
            "node-1",
            Clocks(time.monotonic_ns, made.wall),
            outbox,
            tracing,
            settings=settings_of(app, None, settings or {}),
            streams=streams,
            states=states,
        )
        made.dispatcher.router = made
        yield made
        await made.dispatcher.waiting.close(1)


async def forwarded(tmp_path: Path) -> dict[str, int]:
    account = await asyncio.to_thread(read_account, tmp_path)
    return {} if account is None else {lane.lane: lane.forwarded for lane in account.lanes}
