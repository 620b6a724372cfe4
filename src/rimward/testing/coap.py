"""A CoAP caller in memory, on the node's real gateway: datagrams that are never lost."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

import msgspec
from msgspec import Struct

from rimward.devices.errors import Unanswered
from rimward.protocols.coap import ClientExchange, Message, Timing, dotted, name_of, request, uint
from rimward.protocols.coap import options as opt
from rimward.testing.clock import Clock

T = TypeVar("T")

METHODS = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "FETCH": 5, "PATCH": 6, "IPATCH": 7}
HERE = "127.0.0.1"
FIRST_PORT = 49_152
_TIMING = Timing(max_retransmit=0)  # nothing is lost


class Wire(Protocol):
    """What carries datagrams to the node."""

    def deliver(self, data: bytes, address: tuple[str, int], caller: "Call") -> None:
        """Send a datagram to the node; what it sends to the address goes to the caller."""
        ...


class House(Protocol):
    """What a caller asks of its Site."""

    clock: Clock

    @property
    def node(self) -> Wire:
        """The way to the node."""
        ...

    async def until(self, done: Callable[[], bool]) -> None:
        """Run until it is done, or until nothing moves."""
        ...


class CoapResponse(Struct, frozen=True):
    """A response, or a notification."""

    code: str  # such as "2.05"
    name: str  # such as "Content"
    format: int | None  # the content format's number
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, type_: type[T]) -> T: ...
    def json(self, type_: Any = Any) -> Any:
        """Return the body's JSON, as a value of `type_` where one is given."""
        return msgspec.json.decode(self.body, type=type_)


class Call:
    """One request from an address of its own, and what comes back."""

    def __init__(self, wire: Wire, clock: Clock, message: Message, port: int) -> None:
        self._wire = wire
        self._clock = clock
        self._address = (HERE, port)
        token = port.to_bytes(2, "big")
        self.exchange: ClientExchange = ClientExchange(message, token, 0, _TIMING, clock.monotonic())

    def receive(self, data: bytes) -> None:
        """Take a datagram from the node."""
        self.exchange.receive(data, self._clock.monotonic())
        self.send()

    def send(self) -> None:
        """Send what is to be sent."""
        while self.exchange.outgoing:
            self._wire.deliver(self.exchange.outgoing.pop(0), self._address, self)


class Observation:
    """What a node tells an observer."""

    def __init__(self, call: Call, first: CoapResponse) -> None:
        self.first: CoapResponse = first  # the answer to the registration
        self._call = call

    @property
    def all(self) -> list[CoapResponse]:
        """Every notification so far, without the first answer."""
        return [_response(message) for message in self._call.exchange.notifications]


class Coap:
    """Calls the node's CoAP functions; each call comes from a port of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ports = 0

    async def get(self, path: str, *, accept: int | None = None) -> CoapResponse:
        """Send a GET; `accept` is a content format's number."""
        return await self.request("GET", path, accept=accept)

    async def post(self, path: str, body: Any = b"") -> CoapResponse:
        """Send a POST: bytes and text as they are, anything else as JSON."""
        return await self.request("POST", path, body)

    async def put(self, path: str, body: Any = b"") -> CoapResponse:
        """Send a PUT."""
        return await self.request("PUT", path, body)

    async def delete(self, path: str) -> CoapResponse:
        """Send a DELETE."""
        return await self.request("DELETE", path)

    async def request(
        self, method: str, path: str, body: Any = b"", *, accept: int | None = None
    ) -> CoapResponse:
        """Send a request of any method and return its response.

        Raises:
            Unanswered: the node was killed, or nothing moves any more and it has not answered.
        """
        return (await self._ask(method, path, body, accept=accept))[1]

    async def observe(self, path: str, *, accept: int | None = None) -> Observation:
        """Observe what a GET returns.

        Raises:
            Unanswered: as for `request`.
        """
        return Observation(*await self._ask("GET", path, b"", accept=accept, more=[(opt.OBSERVE, b"")]))

    async def _ask(
        self, method: str, path: str, body: Any, *, accept: int | None, more: opt.Options | None = None
    ) -> tuple[Call, CoapResponse]:
        content, number = _encode(body)
        message = request(
            METHODS[method], path, content, content_format=number, accept=accept, more=more
        )  # fmt: skip
        house, self._ports = self._house, self._ports + 1
        call = Call(house.node, house.clock, message, FIRST_PORT + self._ports % (65_536 - FIRST_PORT))
        call.send()
        await house.until(lambda: call.exchange.done)
        if call.exchange.response is None:
            raise Unanswered(f"{method} {path} has no answer: {call.exchange.error or 'nothing moves'}")
        return call, _response(call.exchange.response)


def _encode(body: Any) -> tuple[bytes, int | None]:
    if isinstance(body, bytes):
        return body, 42 if body else None
    if isinstance(body, str):
        return body.encode(), 0
    return msgspec.json.encode(body), 50


def _response(message: Message) -> CoapResponse:
    found = message.get(opt.CONTENT_FORMAT)
    number = None if found is None else uint(found)
    return CoapResponse(dotted(message.code), name_of(message.code), number, message.payload)
