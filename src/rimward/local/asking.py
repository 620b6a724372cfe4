"""One CoAP request as a device would send it, and what came back: over UDP."""

import secrets
import socket
import time
from collections.abc import Callable, Generator

from msgspec import Struct

from rimward.local.errors import DevError
from rimward.local.sending import ASK, Address
from rimward.protocols.coap import ClientExchange, Message, Timing, dotted, name_of, uint
from rimward.protocols.coap import options as opt

FORMATS: dict[str, int] = {"text": 0, "octets": 42, "json": 50, "cbor": 60}
LARGEST = 65_536  # bytes of a datagram


class CoapAnswer(Struct, frozen=True):
    """A response, or a notification."""

    code: str  # such as 2.05
    name: str  # such as Content
    format: str | None  # of the body; None where it is not said, or another
    body: bytes
    ms: float  # after the request was sent


def ask(address: Address, request: Message, timeout: float, *, observe: float = 0.0) -> Generator[CoapAnswer]:
    """Send a request; yield its response, and what comes for `observe` seconds after it.

    Raises:
        DevError: nobody answers there, or what does breaks a rule of CoAP.
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        begun = time.monotonic_ns()
        token, mid = secrets.token_bytes(4), secrets.randbelow(0x10000)
        exchange = ClientExchange(request, token, mid, Timing(), begun)
        until = begun + round(timeout * 1e9)
        if not _pump(sock, exchange, until, lambda: exchange.done) and exchange.error is None:
            exchange.error = f"no answer within {timeout:g} s"
        if exchange.response is None:
            raise DevError(f"no answer from {address[0]}:{address[1]} ({exchange.error}): {ASK}")
        yield _answer(exchange.response, begun)
        until = time.monotonic_ns() + round(observe * 1e9)
        while _pump(sock, exchange, until, lambda: bool(exchange.notifications)):
            yield _answer(exchange.notifications.pop(0), begun)


def _pump(sock: socket.socket, exchange: ClientExchange, until: int, done: Callable[[], bool]) -> bool:
    """Send and receive until it is done, or until a monotonic time in ns: then False."""
    while not done():
        _send(sock, exchange)
        now = time.monotonic_ns()
        if now >= until:
            return False
        moment = until if exchange.deadline is None else min(until, exchange.deadline)
        sock.settimeout(max(moment - now, 1_000_000) / 1e9)
        try:
            exchange.receive(sock.recv(LARGEST), time.monotonic_ns())
        except TimeoutError:
            exchange.expire(time.monotonic_ns())
        except OSError as error:
            exchange.error = error.strerror or str(error)
            return False
    _send(sock, exchange)
    return True


def _send(sock: socket.socket, exchange: ClientExchange) -> None:
    while exchange.outgoing:
        try:
            sock.send(exchange.outgoing.pop(0))
        except OSError as error:
            exchange.error = error.strerror or str(error)


def _answer(message: Message, begun: int) -> CoapAnswer:
    found = message.get(opt.CONTENT_FORMAT)
    number = None if found is None else uint(found)
    name = next((name for name, known in FORMATS.items() if known == number), None)
    ms = round((time.monotonic_ns() - begun) / 1e6, 3)
    return CoapAnswer(dotted(message.code), name_of(message.code), name, message.payload, ms)
