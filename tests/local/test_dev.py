"""`dev` around a real supervisor and a real node, without the cloud: what it says and does."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from rimward.app.manifest import Manifest
from rimward.cloud.ingest.core import Ingest
from rimward.local.checking import check
from rimward.local.dev import Dev, run
from rimward.local.differing import differs
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder
from rimward.local.options import DevOptions
from rimward.local.plan import Extras
from rimward.local.telling import Ready

ALONE = Extras(bus=None, cloud=False, console=False)
APP = """\
from rimward import App, http
app = App("tiny", compat="2026-11-01")
@app.edge(http.get("/word"))
def word() -> str:
    return "first"
"""


class Heard:
    """A teller that keeps what it is told."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def ready(self, ready: Ready, app: str, link: str | None, send: str | None) -> None:
        self.said.put_nowait(("ready", ready))

    def pids(self, pids: dict[str, int | None]) -> None:
        self.said.put_nowait(("pids", dict(pids)))

    def note(self, text: str) -> None:
        self.said.put_nowait(("note", text))

    async def next(self, kind: str) -> Any:
        """Return what is told next of a kind."""
        while True:
            found, what = await self.said.get()
            if found == kind:
                return what


class Bench:
    """One run of dev, in this test's loop."""

    def __init__(
        self, folder: Path, *, duration: float | None = None, ready_timeout: float = 30.0, simulate: int = 0
    ) -> None:
        self.app = folder / "app.py"
        self.app.write_text(APP)
        self.heard = Heard()
        self.folder = DataFolder(folder / "data")
        self.options = DevOptions(
            app=str(self.app),
            data=folder / "data",
            mqtt=0,
            http=0,
            duration=duration,
            ready_timeout=ready_timeout,
            simulate=simulate,
        )

    async def run(self) -> None:
        """Run dev to its end."""
        await asyncio.to_thread(self.folder.prepare)
        lock = self.folder.lock()
        try:
            await Dev(self.options, self.folder, ALONE, self.heard, lock).run(await check(str(self.app), 30))
        finally:
            os.close(lock)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Ready]:
        """Run it in the background; at the end send it SIGTERM as a person's shell would."""
        task = asyncio.create_task(self.run())
        ready = asyncio.create_task(self.heard.next("ready"))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not task.done():
                yield await ready
        finally:
            ready.cancel()
            if not task.done():  # else nobody would catch it
                os.kill(os.getpid(), signal.SIGTERM)
            await task

    async def ask(self, port: int | None, path: str = "/word") -> str:
        """Return what the app answers; the connection waits where the node is away."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answer.partition(b"\r\n\r\n")[2].decode()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_the_edge_alone_serves_says_so_and_leaves_nothing(bench: Bench) -> None:
    async with bench.running() as ready:
        assert ready.pids["node"] is not None
        assert (ready.pids["deep"], ready.pids["hub"], ready.pids["bus"]) == (None, None, None)
        assert "pip install 'rimward[cloud]'" in await bench.heard.next("note")
        assert await bench.ask(ready.http) == "first"
        written = msgspec.json.decode(bench.folder.ready.read_bytes())
        assert written["pid"] == os.getpid()
        assert written["ready"]["mqtt"] == ready.mqtt
    assert not bench.folder.ready.exists()
    assert not bench.folder.processes.exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past closed connections, not a listener
        probe.bind(("127.0.0.1", ready.http))


async def test_a_dead_node_is_told_restarted_and_told_again(bench: Bench) -> None:
    async with bench.running() as ready:
        await bench.heard.next("note")
        before = ready.pids["node"]
        assert before is not None
        os.kill(before, signal.SIGKILL)
        assert await bench.heard.next("note") == "node died (signal 9), it is started again"
        assert (await bench.heard.next("pids"))["node"] not in (before, None)
        assert await bench.ask(ready.http) == "first"


FACT = """\
from rimward import App, http
from msgspec import Struct
app = App("tiny", compat="2026-11-01")
@app.fact
class Warm(Struct):
    celsius: int
@app.edge(http.get("/word"))
def word() -> str:
    return "first"
"""


def remember(folder: DataFolder, manifest: Manifest) -> None:
    """Let a lake of the folder know an app's facts, as its ingest does at the start."""
    Ingest(folder.root / "lake", manifest.facts, lambda: 1)


async def test_a_save_that_changes_a_columns_type_is_refused_and_the_old_version_runs_on(
    bench: Bench,
) -> None:
    bench.app.write_text(FACT)
    async with bench.running() as ready:
        await asyncio.to_thread(remember, bench.folder, await check(str(bench.app), 30))
        await bench.heard.next("note")
        changed = FACT.replace("celsius: int", "celsius: float").replace("first", "second")
        bench.app.write_text(changed)
        said = await bench.heard.next("note")
        assert "fact Warm: column celsius was int64 and is float64 now" in said
        assert said.endswith("(what ran before the save runs on)")
        assert await bench.ask(ready.http) == "first"
        bench.app.write_text(changed.replace("class Warm", "class Warmer"))
        assert "connections stayed open" in await bench.heard.next("note")
        assert await bench.ask(ready.http) == "second"
    bench.app.write_text(changed)
    with pytest.raises(DevError, match="column celsius was int64 and is float64 now"):
        await bench.run()


async def test_a_lake_that_cant_be_read_refuses_no_app(bench: Bench) -> None:
    bench.app.write_text(FACT)
    await asyncio.to_thread(_break_the_lake, bench.folder, await check(str(bench.app), 30))


def _break_the_lake(folder: DataFolder, manifest: Manifest) -> None:
    assert differs(folder, manifest) == "", "there is none yet"
    remember(folder, manifest)
    assert differs(folder, manifest) == ""
    (log,) = folder.root.glob("lake/_schemas/_delta_log/*0.json")
    log.write_text("{")
    assert differs(folder, manifest).startswith("the lake's schemas can't be read (")


COUNTING = """\
import asyncio, os
from msgspec import Struct
from rimward import App, State, http
app = App("tiny", compat="2026-11-01")
@app.state(key="name", durable=True)
class Count(Struct):
    number: int = 0
@app.edge(http.get("/count/{name}"), priority="critical")
def count(state: State[Count]) -> str:
    state.value.number += 1
    return f"first {state.value.number}"
@app.edge(http.get("/apart"), run="process", priority="critical")
async def apart(gate: str = "") -> str:
    while gate and not os.path.exists(gate):
        await asyncio.sleep(0.02)
    return f"first {os.getpid()}"
"""
REFUSED = """\
@app.on_start
def begins() -> None:
    raise ValueError("not today")
"""


async def test_a_save_is_taken_over_with_every_connection_open_and_what_is_wrong_with_it_is_told(
    bench: Bench,
) -> None:
    bench.app.write_text(COUNTING)
    async with bench.running() as ready:
        await bench.heard.next("note")
        reader, writer = await asyncio.open_connection("127.0.0.1", ready.http)
        node = ready.pids["node"]

        async def ask(path: bytes = b"/count/a") -> str:
            writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return (await reader.readexactly(size)).decode()

        async def saved(text: str) -> str:
            bench.app.write_text(text)
            note: str = await bench.heard.next("note")
            return note

        assert await ask() == "first 1"
        worker = (await ask(b"/apart")).split()[1]
        gate = bench.app.with_name("gate")
        slow = asyncio.create_task(bench.ask(ready.http, f"/apart?gate={gate}"))
        assert "connections stayed open" in await saved(COUNTING.replace('f"first', 'f"second'))
        assert await ask() == "second 2"
        said, fresh = (await ask(b"/apart")).split()
        assert (said, fresh != worker) == ("second", True)
        assert not slow.done()
        gate.touch()
        assert await slow == f"first {worker}"
        while Path(f"/proc/{worker}").exists():  # noqa: ASYNC110, ASYNC240 (nothing tells; its node reaps none)
            await asyncio.sleep(0.01)
        note = await saved(COUNTING.replace('f"first', 'f"third') + REFUSED)
        assert note == (
            "begins: on_start raised ValueError: not today at app.py:19 (what ran before the save runs on)"
        )
        assert await ask() == "second 3"
        note = await saved(COUNTING.replace("durable=True", "durable=False"))
        assert note.endswith("was saved: the node starts anew, for the state Count is durable=False now")
        assert (await bench.heard.next("pids"))["node"] != node
        writer.close()


async def test_a_mistake_that_is_saved_is_told_and_the_old_version_runs_on(bench: Bench) -> None:
    async with bench.running() as ready:
        await bench.heard.next("note")
        bench.app.write_text(APP + "def (\n")
        note = await bench.heard.next("note")
        assert note.startswith(f"{bench.app}:6: syntax error")
        assert note.endswith("(what ran before the save runs on)")
        assert await bench.ask(ready.http) == "first"


async def test_for_some_seconds_means_it_stops_by_itself(tmp_path: Path) -> None:
    bench = Bench(tmp_path, duration=0.01)
    await bench.run()
    assert (await bench.heard.next("ready")).http


async def test_an_app_without_mqtt_has_no_devices_to_simulate(tmp_path: Path) -> None:
    bench = Bench(tmp_path, simulate=2)
    with pytest.raises(DevError, match=r"app\.py has no MQTT function, and simulated devices speak MQTT: "):
        await run(bench.options, bench.heard)


async def test_events_need_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rimward.local.dev.installed", lambda: ALONE)
    bench = Bench(tmp_path)
    with pytest.raises(DevError, match=r"--events needs the hub, which is not installed"):
        await run(replace(bench.options, events=True), bench.heard)
    assert not bench.options.data.exists()


MQTT = """\
from msgspec import Struct
from rimward import App, mqtt
app = App("tiny", compat="2026-11-01")
class Reading(Struct):
    celsius: float
@app.edge(mqtt("a/{b}"))
def f(b: str, reading: Reading) -> None: ...
"""


async def test_simulated_devices_are_made_anew_only_when_what_the_app_takes_has_changed(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, simulate=1)
    bench.app.write_text(MQTT)

    async def saved(text: str) -> int | None:
        """Save the app, wait for its node, and return the pid of the simulated devices."""
        bench.app.write_text(text)
        while "was saved" not in await bench.heard.next("note"):
            pass
        processes = msgspec.json.decode(await asyncio.to_thread(bench.folder.processes.read_bytes))
        return processes["simulate"]["pid"]

    async with bench.running():
        first = await saved(MQTT + "# a remark\n")
        assert first is not None
        assert await saved(MQTT + "# another\n") == first
        changed = await saved(MQTT.replace("celsius", "humidity"))
        while changed == first:  # the node may serve again before the devices are told to end
            processes = msgspec.json.decode(await asyncio.to_thread(bench.folder.processes.read_bytes))
            changed = processes["simulate"]["pid"]


async def test_a_node_that_can_not_start_ends_dev_with_its_last_words(bench: Bench) -> None:
    await asyncio.to_thread(bench.folder.prepare)
    (bench.folder.root / "node").write_text("a file where the node's folder should be")
    with pytest.raises(DevError, match=r"^node can't start: .*FileExistsError.*/logs/node\.log has more$"):
        await bench.run()


async def test_what_is_never_ready_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ready_timeout=0.001)
    with pytest.raises(DevError, match=r"^node not ready after 0\.001 s: .*/logs/node\.log says more$"):
        await bench.run()
