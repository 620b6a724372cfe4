"""An endpoint with a clock that is moved, and a network that a test plays."""

from dataclasses import dataclass, field
from typing import Any

from rimward.protocols.coap import (
    SECOND,
    Bounds,
    Endpoint,
    Exchange,
    Message,
    Options,
    Timing,
    decode,
    encode,
)
from rimward.protocols.coap.codes import ACK, CON, CONTENT, GET, NON, RST

ALICE, BOB = ("192.0.2.1", 1), ("192.0.2.2", 2)


@dataclass
class Bench:
    """One endpoint; what it sends is kept in `sent`."""

    timing: Timing = field(default_factory=Timing)
    bounds: Bounds = field(default_factory=Bounds)
    now: int = SECOND
    sent: list[tuple[Message, Any]] = field(default_factory=list[tuple[Message, Any]])

    def __post_init__(self) -> None:
        self.endpoint = Endpoint(self.timing, self.bounds, lambda: 0.0, 100)

    def receive(self, data: bytes, peer: Any = ALICE) -> Exchange | None:
        exchange = self.endpoint.receive(data, peer, self.now)
        self.collect()
        return exchange

    def request(self, mid: int, peer: Any = ALICE, kind: int = CON, payload: bytes = b"") -> Exchange | None:
        return self.receive(ask(mid, kind, payload), peer)

    def respond(self, exchange: Exchange | None, payload: bytes = b"21 C") -> None:
        assert exchange is not None
        self.endpoint.respond(exchange, CONTENT, [], payload, self.now)
        self.collect()

    def hold(self, exchange: Exchange | None) -> None:
        assert exchange is not None
        self.endpoint.hold(exchange)

    def answer(self, mid: int, kind: int = ACK, peer: Any = ALICE) -> None:
        self.receive(bytes((0x40 | kind << 4, 0)) + mid.to_bytes(2, "big"), peer)

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and do all that comes due at its time."""
        end = self.now + round(seconds * SECOND)
        while (deadline := self.endpoint.deadline) is not None and deadline <= end:
            self.now = max(deadline, self.now)
            self.endpoint.expire(self.now)
        self.now = end
        self.collect()

    def collect(self) -> None:
        for data, peer in self.endpoint.outgoing:
            message = decode(data)
            assert message is not None
            self.sent.append((message, peer))
        self.endpoint.outgoing.clear()

    def heard(self) -> list[Message]:
        """Return what was sent since the last look."""
        messages = [message for message, _ in self.sent]
        self.sent.clear()
        return messages


def ask(mid: int, kind: int = CON, payload: bytes = b"", token: bytes = b"t") -> bytes:
    return encode(Message(GET, token, [], payload, kind, mid))


def shape(messages: list[Message]) -> list[tuple[str, int]]:
    """Return messages as type and code, such as ("ACK", 0x45)."""
    names = {CON: "CON", NON: "NON", ACK: "ACK", RST: "RST"}
    return [(names[message.type], message.code) for message in messages]


NO_OPTIONS: Options = []
