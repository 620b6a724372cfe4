"""A CoAP gateway before a real dispatcher and outbox: datagrams in memory, and a clock that is moved."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.edge.dispatch.bench import Bench, bench

from rimward.edge.access import Access
from rimward.edge.dispatch import Clocks
from rimward.edge.gateways.coap import CoapConfig, CoapGateway
from rimward.edge.gateways.coap.resources import links_of
from rimward.edge.keeping import Keeper
from rimward.protocols.coap import SECOND, Message, Options, decode, encode, request
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import ACK, CON, RST

START = 1_800_000_000 * SECOND  # of the wall clock
NEAR, FAR = ("127.0.0.1", 40_000), ("198.51.100.7", 40_000)
APP = """
from rimward import Reply, coap
class Meter(Struct):
    kwh: float
@app.state(key="meter")
class Total(Struct):
    kwh: float = 0.0
@app.edge(coap.get("meters/{meter}"))
def read(state: State[Total]) -> Total:
    return state.value
@app.edge(coap.put("meters/{meter}"))
def write(reading: Meter, state: State[Total]) -> None:
    state.value.kwh = reading.kwh
@app.edge(coap.post("meters/{meter}"))
def count(meter: int, reading: Meter, state: State[Total], times: int = 1) -> Total:
    state.value.kwh += times * reading.kwh
    return state.value
@app.edge(coap.delete("meters/{meter}"))
def forget(state: State[Total]) -> None:
    state.value.kwh = 0.0
@app.edge(coap.fetch("meters"))
def find(names: list[str], states: States[Total]) -> list[float]:
    return [found.kwh for name in names if (found := states.get(name))]
@app.edge(coap.get("sum"))
def total(states: States[Total]) -> float:
    return sum(one.kwh for _, one in states.items())
@app.edge(coap.post("facts/{truck}"))
def fact(truck: str, reading: Reading) -> None:
    app.forward(Warm(truck, reading.celsius))
@app.edge(coap.post("echo"))
def echo(body: bytes) -> bytes:
    return body
@app.edge(coap.get("large"))
def large() -> str:
    return "0123456789" * 500
@app.edge(coap.post("status/{status}"))
def status(status: int) -> Reply[None]:
    return Reply(None, status=status, headers={"location": "/made/1?by=me"})
@app.edge(coap.post("refuse/{kind}"))
def refuse(kind: str) -> None:
    raise Reject(kind, "because")
@app.edge(coap.post("fail"))
def fail() -> None:
    raise RuntimeError("a bug")
@app.edge(coap.get("who"))
def who(device: Device, event: Event) -> str:
    return f"{device.id} {device.protocol} {event.protocol} {event.subject}"
@app.edge(coap.post("slow"))
async def slow(body: bytes) -> bytes:
    await asyncio.sleep(0)
    return body
@app.edge(coap.get("note"))
def note() -> str:
    return notes[-1]
@app.edge(coap.put("note"))
def leave(text: bytes) -> None:
    notes.append(text.decode())
    app.publish("note", text)
notes = ["first"]
"""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000 * SECOND

    def __call__(self) -> int:
        return self.now


class House:
    """The gateway, and a network without loss."""

    def __init__(self, bench: Bench, config: CoapConfig, access: Access | None = None) -> None:
        self.bench = bench
        self.clock = Clock()
        self.sent: list[tuple[Message, Any]] = []
        self.sizes: list[int] = []
        wall = START + self.clock.now  # which stands still as well
        self.keeper = Keeper(bench.outbox, Clocks(self.clock, lambda: wall))
        functions = [run.function for run in bench.dispatcher.functions.values()]
        self.gateway = CoapGateway(
            bench.dispatcher,
            clock=self.clock,
            config=config,
            links=links_of(functions),
            access=access,
            disk=self.keeper,
            chance=lambda: 0.0,
        )
        self.gateway.connect(self._send, asyncio.get_running_loop())
        self._mid = 0

    def _send(self, data: bytes, address: Any) -> None:
        message = decode(data)
        assert message is not None
        self.sent.append((message, address))
        self.sizes.append(len(data))

    def ask(self, message: Message, address: Any = NEAR, kind: int = CON, *, quiet: bool = False) -> int:
        """Send a request; return its message id."""
        self._mid += 1
        message.type, message.mid = kind, self._mid
        message.token = message.token or bytes((self._mid,))
        self.gateway.datagrams.datagram(encode(message), address, quiet=quiet)
        return self._mid

    def heard(self) -> list[Message]:
        """Return what came since the last look."""
        messages = [message for message, _ in self.sent]
        self.sent.clear()
        return messages

    async def call(
        self, code: int, path: str, payload: bytes = b"", address: Any = NEAR, **how: Any
    ) -> Message:
        """Send a request and return the response."""
        self.ask(request(code, path, payload, **how), address)
        await self.until(lambda: bool(self.sent))
        [answer] = self.heard()
        return answer

    async def observe(self, path: str, token: bytes = b"obs", address: Any = NEAR, **how: Any) -> Message:
        """Register as an observer and return the first answer."""
        message = request(1, path, more=[(opt.OBSERVE, b"")], **how)
        message.token = token
        self.ask(message, address)
        [answer] = self.heard()
        return answer

    def acknowledge(self, message: Message, kind: int = ACK, address: Any = NEAR) -> None:
        assert kind in {ACK, RST}
        data = bytes((0x40 | kind << 4, 0)) + message.mid.to_bytes(2, "big")
        self.gateway.datagrams.datagram(data, address)

    async def turn(self) -> list[Message]:
        """Let a turn of the loop pass, and return what came."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.heard()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 (the gateway answers, it does not signal)
                await asyncio.sleep(0.001)

    def pass_time(self, seconds: float) -> None:
        end, endpoint = self.clock.now + round(seconds * SECOND), self.gateway.datagrams.endpoint
        while (deadline := endpoint.deadline) is not None and deadline <= end:
            self.clock.now = max(deadline, self.clock.now)
            self.gateway.look()
        self.clock.now = end
        self.gateway.look()


def numbers(options: Options) -> dict[int, bytes]:
    return dict(options)


@asynccontextmanager
async def coap_house(
    tmp_path: Path,
    config: CoapConfig | None = None,
    functions: str = APP,
    access: Access | None = None,
) -> AsyncGenerator[House]:
    async with bench(tmp_path, functions) as made:
        yield House(made, config or CoapConfig(), access)
