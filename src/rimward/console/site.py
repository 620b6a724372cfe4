"""The console's routes: the page, its live changes, and its files."""

from collections.abc import AsyncIterator, Callable
from importlib.resources import files

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from rimward.console.feed import Feed
from rimward.console.gate import Gate
from rimward.console.page import page

TYPES = {"now.css": "text/css", "now.js": "text/javascript", "icon.svg": "image/svg+xml"}
FILES = {name: files("rimward.console").joinpath("assets", name).read_bytes() for name in TYPES}
MAX_VERSION = 64  # characters of a version's name that are looked at


class Site:
    """The console as an ASGI application around one feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def application(
        self, *, token: str, hosts: frozenset[str], cookie: str, on_link: Callable[[str], None]
    ) -> ASGIApp:
        """Return the application behind its gate."""
        routes = [
            Route("/", self._page),
            Route("/events", self._events),
            Route("/static/{name}", self._file),
            Route("/healthz", self._health),
            Route("/problems", self._problems),
        ]
        return Gate(Starlette(routes=routes), token=token, hosts=hosts, cookie=cookie, on_link=on_link)

    async def _page(self, _: Request) -> Response:
        await self._feed.refresh()
        return HTMLResponse(page(self._feed.shown, self._feed.version))

    async def _events(self, request: Request) -> Response:
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        stream = self._stream(after[:MAX_VERSION])
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _stream(self, after: str) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        while not self._feed.closed:
            after, changed = await self._feed.changes(after)
            if changed:
                data = msgspec.json.encode({name: str(part) for name, part in changed.items()})
                yield b"id: %b\ndata: %b\n\n" % (after.encode(), data)
            else:
                yield b"event: beat\ndata:\n\n"

    async def _file(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in FILES:
            return Response(status_code=404)
        return Response(FILES[name], media_type=TYPES[name])

    async def _problems(self, _: Request) -> Response:
        await self._feed.refresh()
        return Response(msgspec.json.encode(self._feed.problems), media_type="application/json")

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"version": self._feed.version})
