"""A page tries every way to a node that a browser has: the node's own, an allowed one, and a foreign one.

The script is the same in all cases, so that what a foreign page fails at is shown to work for the others.
"""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.edge.access.access_support import device
from tests.edge.gateways.mqtt_support import until

from rimward import App, Reply, Update, http, mqtt, ws
from rimward.edge.config import HttpConfig, NodeConfig
from rimward.edge.node import Node
from rimward.protocols.mqtt import Connect, Publish, encode

from .browser import Pages, browsing
from .running import PATIENCE

pytestmark = pytest.mark.e2e

# The file asks nobody for credentials: what keeps a foreign page out is that it is one.
ACCESS = (
    device("truck-1")
    + """
[[rule]]
anyone = true
request = ["* /#"]
publish = ["#"]
subscribe = ["#"]
"""
)
PAGE = """<!doctype html><title>ways</title><body>
<script>
const [NODE, SOCKETS, REPORTS, PACKETS] = SETTINGS;
const text = answer => answer.ok ? answer.text() : 'refused';
const post = (way, how) => fetch(NODE + '/act/' + way, {method: 'POST', body: '{"x": 1}', ...how});
const socket = (path, protocols, messages) => new Promise(done => {
  const open = new WebSocket(SOCKETS + path, protocols);
  open.binaryType = 'arraybuffer';
  open.onopen = () => messages.forEach(one => open.send(one));
  const shown = data => typeof data == 'string' ? data : Array.from(new Uint8Array(data)).join();
  open.onmessage = one => done(shown(one.data));
  open.onerror = () => done('refused');
});
const loaded = (kind, way) => new Promise(done => {
  const element = document.createElement(kind);
  element.onload = element.onerror = () => done('unread');
  element.src = NODE + '/act/' + way;
  document.body.append(element);
});
const form = way => new Promise(done => {
  const frame = document.createElement('iframe');
  frame.name = 'frame';
  document.body.append(frame);
  frame.onload = () => done('unread');
  const element = document.createElement('form');
  Object.assign(element, {method: 'post', action: NODE + '/act/' + way, target: 'frame'});
  document.body.append(element);
  element.submit();
});
const ways = {
  read: () => fetch(NODE + '/read').then(text),
  post: () => post('post', {headers: {'content-type': 'text/plain'}}).then(text),
  json: () => post('json', {headers: {'content-type': 'application/json'}}).then(text),
  basic: () => post('basic', {headers: {authorization: 'Basic ' + btoa('truck-1:secret')}}).then(text),
  unread: () => post('unread', {mode: 'no-cors'}).then(() => 'unread'),
  cookies: () => post('cookies', {mode: 'no-cors', credentials: 'include'}).then(() => 'unread'),
  beacon: async () => (navigator.sendBeacon(NODE + '/act/beacon', 'x'), 'unread'),
  image: () => loaded('img', 'image'),
  script: () => loaded('script', 'script'),
  form: () => form('form'),
  events: () => new Promise(done => {
    const source = new EventSource(NODE + '/events');
    source.onmessage = one => (source.close(), done(one.data));
    source.onerror = () => (source.close(), done('refused'));
  }),
  socket: () => socket('/talk', [], ['"x"']),
  mqtt: () => socket('/mqtt', ['mqtt'], [new Uint8Array(PACKETS)]),
};
const entry = ([way, run]) => run().catch(() => 'refused').then(found => [way, found]);
const tries = Object.entries(ways).map(entry);
onload = () => Promise.all(tries).then(found =>
  fetch(REPORTS, {method: 'POST', mode: 'no-cors', body: JSON.stringify(Object.fromEntries(found))}));
</script>
"""
READ = {"read": "secret", "post": "done", "json": "done", "basic": "done", "events": "secret"} | {
    "socket": "done",
    "mqtt": "32,2,0,0",
}
UNREAD = dict.fromkeys(("unread", "cookies", "beacon", "image", "script", "form"), "unread")
CHANGE = {"post", "json", "basic", "unread", "cookies", "beacon", "form", "socket", "mqtt"}


class House:
    """A node whose functions note that they were called, and the server of the pages."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.called: set[str] = set()
        self.page = ""
        self.denied: Callable[[], int] = lambda: 0
        self.app = self._app()

    def _app(self) -> App:
        app = App("browsed", compat="2026-11-01")

        @app.edge(http.get("/page"))
        def page() -> Reply[str]:
            return Reply(self.page, headers={"content-type": "text/html"})

        @app.edge(http.get("/read"))
        def read() -> Reply[str]:
            self.called.add("read")
            return Reply("secret", headers={"content-type": "text/plain"})

        @app.edge(http.get("/act/{way}"))
        def load(way: str) -> None:
            self.called.add(way)

        @app.edge(http.post("/act/{way}"))
        def act(way: str, body: bytes) -> Reply[str]:
            self.called.add(way)
            return Reply("done", headers={"content-type": "text/plain"})

        @app.edge(http.get("/events"))
        async def events() -> AsyncIterator[Update[str]]:
            self.called.add("events")
            yield Update("secret")

        @app.edge(ws("/talk"))
        def talk(body: str) -> str:
            self.called.add("socket")
            return "done"

        @app.edge(mqtt("act/{way}"))
        def tell(way: str, body: bytes) -> None:
            self.called.add(way)

        return app


@asynccontextmanager
async def house(folder: Path, access: str) -> AsyncGenerator[tuple[House, int]]:
    """Serve on a free port of loopback; pages of the test's server at localhost are allowed to call."""
    file = folder / "access.toml"
    if access:
        file.write_text(access)
        file.chmod(0o600)
    with Pages() as pages:
        home = House(pages)
        doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        config = NodeConfig(
            app="browsed:app",
            data=str(folder),
            access=str(file) if access else "",
            http=HttpConfig(origins=(pages.url.replace("127.0.0.1", "localhost"),)),
        )
        async with Node(home.app, config) as node:
            await node.serve(doors[0], doors[1])
            home.denied = lambda: node.http.stats()["denied"]
            yield home, doors[1].getsockname()[1]


async def tried(home: House, port: int, origin: str, profile: Path) -> dict[str, Any]:
    """Open the page at an origin and return what it reports."""
    packets = encode(Connect("page", 4), 4) + encode(Publish("act/mqtt", b"x", 0), 4)
    host = f"127.0.0.1:{port}"
    settings = [f"http://{host}", f"ws://{host}", f"{home.pages.url}/", list(packets)]
    home.page = PAGE.replace("SETTINGS", json.dumps(settings))
    home.pages.pages["/page"] = ("text/html", home.page.encode())
    with browsing(f"{origin}/page", profile):
        return await asyncio.to_thread(home.pages.reports.get, timeout=PATIENCE)


files = pytest.mark.parametrize("access", ["", ACCESS], ids=["no access file", "an access file"])


@files
async def test_a_page_of_the_node_itself_has_every_way(tmp_path: Path, access: str) -> None:
    async with house(tmp_path, access) as (home, port):
        report = await tried(home, port, f"http://127.0.0.1:{port}", tmp_path / "profile")
        assert report == READ | UNREAD
        await until(lambda: home.called >= set(report))


@files
async def test_a_page_of_an_allowed_origin_reads_and_acts(tmp_path: Path, access: str) -> None:
    async with house(tmp_path, access) as (home, port):
        origin = home.pages.url.replace("127.0.0.1", "localhost")
        report = await tried(home, port, origin, tmp_path / "profile")
        assert report == READ | UNREAD
        await until(lambda: home.called >= CHANGE)


@files
async def test_a_foreign_page_reads_nothing_and_changes_nothing(tmp_path: Path, access: str) -> None:
    async with house(tmp_path, access) as (home, port):
        report = await tried(home, port, home.pages.url, tmp_path / "profile")
        assert report == dict.fromkeys(READ, "refused") | UNREAD
        await until(lambda: home.denied() >= len(report))  # a beacon comes when it comes
        assert home.called == set()
