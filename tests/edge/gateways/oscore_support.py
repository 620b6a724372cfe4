"""A device that speaks OSCORE to a gateway in memory: our client's side, with numbers of its own."""

from operator import itemgetter
from pathlib import Path
from typing import Any

from rimward.edge.access import Access, Patterns
from rimward.edge.access.book import Book
from rimward.edge.access.file import parse
from rimward.edge.access.tokens import Tokens
from rimward.protocols.coap import Message, request
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.oscore import Asking, Context, Keys, open_response, protect_request

from .coap_house import NEAR, House

SECRET, SALT = bytes(range(16)), bytes(8)
ACCESS = f"""
[[device]]
id = "meter-7"
oscore = {{ sender = "", recipient = "07", secret = "{SECRET.hex()}", salt = "{SALT.hex()}" }}

[[device]]
id = "meter-8"
oscore = {{ sender = "01", recipient = "08", secret = "{SECRET[::-1].hex()}", context = "aabb" }}

[[rule]]
request = ["* /meters/+", "GET /who", "GET /large", "POST /echo", "POST /slow", "GET /note", "PUT /note"]
observe = ["/meters/+"]
"""
METER_7 = Keys(b"\x07", b"", SECRET, SALT)
METER_8 = Keys(b"\x08", b"\x01", SECRET[::-1], context=b"\xaa\xbb")


def access_of(text: str = ACCESS) -> Access:
    return Access(book_of(text), lambda: 0)


def book_of(text: str) -> Book:
    file = Path("access.toml")
    return Book(parse(text, str(file)), Patterns(), Tokens((), file, lambda: 0))


class Meter:
    """A device with keys."""

    def __init__(self, house: House, keys: Keys = METER_7, address: Any = NEAR) -> None:
        self.house = house
        self.context = Context(keys)
        self.address = address
        self.sequence = 0
        self.last: Message | None = None  # what was sent last, protected
        self.asking: Asking | None = None

    def ask(self, message: Message) -> None:
        """Send a request, and only that."""
        sealed, self.asking = protect_request(self.context, message, self.sequence)
        self.sequence += 1
        self.last = sealed
        self.house.ask(sealed, self.address)

    async def answer(self) -> Message:
        """Return the next response, opened."""
        await self.house.until(lambda: bool(self.house.sent))
        [sealed] = self.house.heard()
        return self.opened(sealed)

    def opened(self, sealed: Message) -> Message:
        assert self.asking is not None
        return open_response(self.context, sealed, self.asking)

    async def call(self, code: int, path: str, payload: bytes = b"", **how: Any) -> Message:
        """Send a request and return the response, whatever the node challenges it with."""
        message = request(code, path, payload, **how)
        self.ask(message)
        found = await self.answer()
        echo = found.get(opt.ECHO)
        if found.code == 0x81 and echo is not None:
            again = sorted([*message.options, (opt.ECHO, echo)], key=itemgetter(0))
            self.ask(Message(code, options=again, payload=payload))
            found = await self.answer()
        return found
