"""The function as a bare ASGI application: nothing between it and the server."""

from typing import Any

import msgspec
from msgspec import Struct


class Reading(Struct):
    celsius: float
    place: str


_decode = msgspec.json.Decoder(Reading).decode
_encode = msgspec.json.Encoder().encode


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError(scope["type"])
    status, answer = 404, b""
    if scope["method"] == "POST" and scope["path"] == "/limit":
        body, more = b"", True
        while more:
            part = await receive()
            body += part.get("body", b"")
            more = part.get("more_body", False)
        status, answer = 200, _encode({"mode": "max" if _decode(body).celsius > 30.0 else "low"})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
