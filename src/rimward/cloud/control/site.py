"""The enrolment's HTTP: `POST /v1/join`, and `GET /v1/authority` for those who check its fingerprint first.

No cookie and no address opens anything here: a join string's secret does, and it is in the body.
"""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from rimward.cloud.control.desk import Desk
from rimward.cloud.control.enrolment import JoinRefused
from rimward.observe import Logger, get_logger
from rimward.wire.joining import AUTHORITY_PATH, JOIN_PATH, JoinRefusal, JoinRequest

log: Logger = get_logger("rimward.enrol")

BODY_BYTES = 4096
BODY_SECONDS = 10.0


def application(desk: Desk, authority: str) -> Starlette:
    """Return the enrolment's pages; `authority` is a PEM file's path, empty where there is no TLS."""

    async def join(request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                wish = msgspec.json.decode(await _body(request), type=JoinRequest)
        except (TimeoutError, ClientDisconnect, msgspec.DecodeError, _TooLong):
            desk.refused["invalid"] += 1
            return _answer(400, JoinRefusal("invalid", "this is no join request"))
        try:
            return _answer(200, await desk.join(wish))
        except JoinRefused as refusal:
            return _answer(403, JoinRefusal(refusal.why, str(refusal)))
        except sqlite3.Error as error:
            log.error("the book of nodes can't be written", error=str(error))  # noqa: TRY400 (one line)
            return Response(status_code=503, headers={"retry-after": "5"})

    async def show_authority(_: Request) -> Response:
        if not authority:
            return Response(status_code=404)
        pem = await asyncio.to_thread(Path(authority).read_bytes)
        return Response(pem, media_type="application/x-pem-file")

    return Starlette(routes=[Route(JOIN_PATH, join, methods=["POST"]), Route(AUTHORITY_PATH, show_authority)])


class _TooLong(Exception):
    """A body goes on and on."""


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES:
            raise _TooLong
    return body


def _answer(status: int, content: object) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(content), status, media_type="application/json", headers=headers)
