"""An HTTP caller in memory, on a line to the node's real gateway: one connection a request."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, overload
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from rimward.devices.errors import Unanswered
from rimward.testing.clock import Clock
from rimward.testing.line import Line, Peer

T = TypeVar("T")


class House(Protocol):
    """What a caller asks of its Site."""

    clock: Clock

    def open_http(self, peer: Peer) -> Line:
        """Connect to the node's HTTP gateway."""
        ...

    async def until(self, done: Callable[[], bool]) -> None:
        """Run until it is done, or until nothing moves."""
        ...


class Response(Struct, frozen=True):
    """An answer."""

    status: int
    headers: dict[str, str]  # names in lower case
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


class Http:
    """Calls the node's HTTP routes."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def get(
        self, path: str, params: Mapping[str, object] | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a GET."""
        return await self.request("GET", path, params=params, headers=headers)

    async def post(self, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None) -> Response:
        """Send a POST: bytes and text as they are, anything else as JSON."""
        return await self.request("POST", path, body, headers=headers)

    async def put(self, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None) -> Response:
        """Send a PUT."""
        return await self.request("PUT", path, body, headers=headers)

    async def patch(
        self, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a PATCH."""
        return await self.request("PATCH", path, body, headers=headers)

    async def delete(self, path: str, *, headers: Mapping[str, str] | None = None) -> Response:
        """Send a DELETE."""
        return await self.request("DELETE", path, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        body: Any = b"",
        *,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request of any method and return its answer.

        Raises:
            Unanswered: the node was killed, or nothing moves any more and it has not answered.
        """
        content, kind = _encode(body)
        fields = {"host": "localhost", "connection": "close"}
        if content:
            fields |= {"content-type": kind, "content-length": str(len(content))}
        fields |= {name.lower(): value for name, value in (headers or {}).items()}
        target = f"{path}?{urlencode(params)}" if params else path
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        call = _Call()
        line = self._house.open_http(call)
        line.send("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
        await self._house.until(lambda: call.over)
        if not call.over or not call.data:
            line.hang_up()
            self._house.clock.run()
            raise Unanswered(f"{method} {path} has no answer: {call.why}")
        return parse_response(bytes(call.data))


class _Call:
    """The caller's end of one connection."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.over = False
        self.why = "nothing moves"

    def receive(self, data: bytes) -> None:
        self.data += data

    def ended(self, *, killed: bool) -> None:
        self.over = True
        self.why = "the node was killed" if killed else "it hung up"


def _encode(body: Any) -> tuple[bytes, str]:
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return msgspec.json.encode(body), "application/json"


def parse_response(data: bytes) -> Response:
    """Return an answer's bytes as an answer."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Response(int(first.split()[1]), headers, body)


def _joined(chunks: bytes) -> bytes:
    """Return a chunked body without its chunks' borders."""
    found: list[bytes] = []
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        length = int(size, 16)
        found.append(rest[:length])
        chunks = rest[length + 2 :]
    return b"".join(found)
