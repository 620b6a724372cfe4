"""A node goes over to another version of its app, and to other settings, while it runs."""

import asyncio
import gc
import json
import socket
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from rimward.app.loading import load
from rimward.edge.config import NodeConfig
from rimward.edge.node import Node
from rimward.edge.versions.wanted import Wanted

APP = """\
from msgspec import Struct
from rimward import App, http, webhook
class Settings(Struct, frozen=True):
    limit: int = 1
    token: str = "first"
app = App("tiny", compat="2026-11-01", config=Settings)
@app.edge(http.get("/word"), priority="critical")
def word(settings: Settings) -> str:
    return f"first {settings.limit}"
@app.edge(http.post("/hook", signed=webhook.github(secret="config:token")))
def hook(body: bytes) -> str:
    return "signed"
"""


@asynccontextmanager
async def running(folder: Path, app: str = APP) -> AsyncGenerator[tuple[Node, int]]:
    """Run a node with an app and a file of settings; yield it and its port."""
    (folder / "app.py").write_text(app)
    (folder / "settings.json").write_text("{}")
    config = NodeConfig(
        app=str(folder / "app.py"), data=str(folder / "data"), settings=str(folder / "settings.json")
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        async with Node(load(config.app), config) as node:
            await node.listen({"http": listener})
            yield node, listener.getsockname()[1]


async def asked(port: int, path: str = "/word") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode()


async def test_a_version_takes_over_and_the_one_before_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path) as (node, port):
        assert await asked(port) == "first 1"
        gone = weakref.ref(node.app.edge_functions[0].plan.function)
        await asyncio.to_thread((tmp_path / "app.py").write_text, APP.replace('f"first', 'f"second'))
        taken = await node.versions.take(Wanted(1, node.config.app, "d"))
        assert (taken.outcome, node.health.digest) == ("running", "d")
        assert await asked(port) == "second 1"
        await asyncio.gather(*node.versions.ending)
        gc.collect()
        assert gone() is None


async def test_a_version_that_is_wrong_is_told_with_its_place_and_nothing_of_it_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as (node, port):
        before = node.app
        for wrong, reason, line in (
            ("1/0\n", "it raises ZeroDivisionError: division by zero", 13),
            ("@app.edge(http.get('/word'))\ndef other() -> None: ...\n", "both serve", 13),
            ("@app.edge(http.get('/a'), run='process')\ndef a() -> None: ...\n", "without a zygote", 13),
        ):
            await asyncio.to_thread((tmp_path / "app.py").write_text, APP + wrong)
            taken = await node.versions.take(Wanted(1, node.config.app))
            assert taken.outcome == "kept"
            assert reason in taken.reason
            assert (Path(taken.file).name, taken.line) == ("app.py", line)
        assert node.app is before
        assert node.versions.kept == 3
        assert await asked(port) == "first 1"


async def test_changed_settings_are_the_next_calls_and_those_that_do_not_fit_are_refused(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (node, port):
        assert await asked(port) == "first 1"

        async def written(**content: object) -> None:
            await asyncio.to_thread((tmp_path / "settings.json").write_text, json.dumps(content))
            await node.settings.look()

        await written(limit=22)
        assert await asked(port) == "first 22"
        await written(limit="many")
        assert await asked(port) == "first 22"
        assert node.health.snapshot().health["settings"] == (
            "the settings do not fit Settings: Expected `int`, got `str` - at `$.limit`, "
            "where 'many' was found: those before stay"
        )
        await written(limit=3, token="")
        assert "token is not set" in node.health.snapshot().health["settings"]
        assert await asked(port) == "first 22"
        await written(limit=333)
        assert await asked(port) == "first 333"
        assert "settings" not in node.health.snapshot().health
        counters = node.dispatcher.counters
        assert (counters["settings_taken"], counters["settings_refused"]) == (2, 2)


STATEFUL = (
    APP.replace("import App,", "import App, State,")
    + """\
@app.state(key="name")
class Count(Struct):
    number: int = 0
@app.edge(http.get("/count/{name}"), priority="critical")
def count(state: State[Count]) -> None:
    state.value.number += 1
"""
)


async def test_a_version_that_can_not_take_the_cells_there_are_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, STATEFUL) as (node, port):
        await asked(port, "/count/a")
        changed = STATEFUL.replace("number: int = 0", "number: bool = False")
        await asyncio.to_thread((tmp_path / "app.py").write_text, changed)
        taken = await node.versions.take(Wanted(1, node.config.app))
        assert taken.outcome == "kept"
        assert taken.reason.startswith("state Count: the cells that are there don't fit: ")
        assert "Expected `bool`" in taken.reason
