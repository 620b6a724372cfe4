"""Serving the console inside a process that has a loop already, such as `rimward dev`."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from rimward.cloud.patience import DRAIN, PatientServer
from rimward.console.feed import Feed
from rimward.console.site import Site
from rimward.console.sources import Sources


class Console(Struct, frozen=True):
    """A console that is served."""

    port: int
    link: str  # opens it in a browser; works once, without the token a browser is refused


@asynccontextmanager
async def serve(
    data: Path,
    listener: socket.socket,
    *,
    token: str | None = None,
    on_link: Callable[[str], None] = lambda _: None,
) -> AsyncGenerator[Console]:
    """Serve the console of the data folder on a bound socket until the block ends.

    `token` is the one-time link's and the bearer's secret, made here when None. `on_link` gets the next link
    when a used one is opened again by someone who is not signed in. The listener is closed at the end.
    """
    token = token or secrets.token_urlsafe(32)
    host, port = listener.getsockname()[:2]
    at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    feed = Feed(
        Sources(data, time.time_ns, time.monotonic).look, run=secrets.token_hex(4), monotonic=time.monotonic
    )
    application = Site(feed).application(
        token=token,
        hosts=frozenset({at, f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"}),
        cookie=f"rimward_{port}",  # cookies are shared between ports
        on_link=lambda fresh: on_link(_link(at, fresh)),
    )
    server = PatientServer(application)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve([listener]))
        looking = tasks.create_task(feed.run())
        try:
            yield Console(port, _link(at, token))
        finally:
            looking.cancel()
            await feed.close()
            server.should_exit = True
            await asyncio.wait([serving], timeout=2 * DRAIN)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 picks a free one.

    Raises:
        OSError: the port is in use or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _link(at: str, token: str) -> str:
    return f"http://{at}/?token={token}"
