"""A node under its supervisor, with an app whose functions do the worst they can."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from rimward.edge.api import dead_letters, read_account
from rimward.edge.functions.config import BASICS
from rimward.observe import Snapshot, read_snapshot

PATIENCE = 60.0  # seconds that anything may take before a run gives up; never a measure of speed
BODY = b'{"how":"x"}'
APP = """
import asyncio
import ctypes
import os
import re
import time

from msgspec import Struct

from rimward import App, http

app = App("hostile", compat="2026-11-01")


class What(Struct):
    how: str


@app.fact
class Seen(Struct):
    how: str


@app.edge(http.post("/seen"))
def seen(what: What) -> None:
    app.forward(Seen(what.how))


@app.edge(http.post("/cut"), budget="5ms", on_overrun="cut")
def cut(what: What) -> str:
    while True:
        pass


def cheap(what: What) -> str:
    return what.how


@app.edge(http.post("/fallback"), budget="5ms", on_overrun=cheap)
def fallback(what: What) -> str:
    while True:
        pass


@app.edge(http.post("/loop"), limit="100ms")
def loop(what: What) -> None:
    while True:
        pass


@app.edge(http.post("/swallows"), limit="100ms")
def swallows(what: What) -> None:
    while True:
        try:
            str(1)
            list(range(3))
        except:
            continue


@app.edge(http.post("/backtracks"), limit="100ms")
def backtracks(what: What) -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")


@app.edge(http.post("/sleeps"), limit="100ms")
def sleeps(what: What) -> None:
    time.sleep(30)


@app.edge(http.post("/waits"), limit="100ms")
async def waits(what: What) -> None:
    await asyncio.sleep(0)
    while True:
        pass


@app.edge(http.post("/counts"), limit="100ms")
def counts(what: What) -> None:
    sum(range(3 * 10**9))


@app.edge(http.post("/segfault"))
def segfault(what: What) -> None:
    ctypes.string_at(0)


@app.edge(http.post("/leaves"))
def leaves(what: What) -> None:
    os._exit(3)


@app.edge(http.post("/bomb"), limit="100ms")
def bomb(what: What) -> None:
    kept = []
    while True:
        kept.append(bytearray(64 << 20))
"""
STOPPED = ("cut", "loop", "swallows", "backtracks", "sleeps", "waits")  # they end, and the node does not
KILLS = ("counts", "segfault", "leaves")  # they take the process with them


class Node:
    """One node under one supervisor."""

    def __init__(
        self,
        folder: Path,
        *,
        hands: str = "stop",
        uid: int | None = None,
        python: str = sys.executable,
        workers: bool = False,
        app: str = APP,
    ) -> None:
        """`uid` is the user that runs it, where that is another, with a Python that this one may run."""
        self.folder = folder
        self._short = Path(tempfile.mkdtemp(prefix="hostile-")) if workers else None  # for a socket's path
        self.events: list[dict[str, Any]] = []
        self.port = 0
        self._uid = uid
        self._python = python
        self._said = threading.Condition()
        (folder / "app.py").write_text(app)
        config = {"app": str(folder / "app.py"), "data": str(folder), "watch": hands}
        (folder / "node.json").write_text(json.dumps(config | {"listeners": {"http": {"protocol": "http"}}}))
        words = ["--fd", "http={fd:http}", "--ready", "{ready}"]
        watch = {name: str(folder / "node" / name) for name in ("slot", "deaths", "stack")}
        node = [python, "-m", "rimward.edge", str(folder / "node.json"), *words]
        spec: dict[str, Any] = {
            "logs": str(folder / "logs"),
            "state": str(folder / "processes.json"),
            "listeners": {"http": ["127.0.0.1", 0]},
            "processes": [{"name": "node", "argv": node, "watch": watch}],
        }
        if self._short is not None:
            path = str(self._short / "workers")
            zygote = [python, "-m", "rimward.edge.functions.zygote", path]
            spec["listeners"]["workers"] = {"unix": path, "mode": 0o600}
            spec["processes"].insert(0, {"name": "zygote", "argv": zygote, "keeps": list(BASICS)})
            node += ["--fd", "workers={fd:workers}"]
        (folder / "spec.json").write_text(json.dumps(spec))

    def __enter__(self) -> Self:
        if self._uid is not None:
            short = () if self._short is None else (self._short,)
            for path in (self.folder, *short, *self.folder.rglob("*")):
                os.chown(path, self._uid, self._uid)
        self._popen = subprocess.Popen(
            [self._python, "-m", "rimward_supervisor", str(self.folder / "spec.json")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=self._uid,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.until("ready")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(PATIENCE)
        finally:
            self._popen.kill()
            self._popen.wait()
            self._reader.join(PATIENCE)
            self._popen.stdout.close()
            if self._short is not None:
                shutil.rmtree(self._short)

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            event = json.loads(line)
            with self._said:
                self.events.append(event)
                self.port = event.get("ports", {}).get("http", self.port)
                self._said.notify_all()

    def until(self, kind: str, since: int = 0) -> dict[str, Any]:
        """Wait until the supervisor has told an event of the node, after so many others; return it."""

        def found() -> dict[str, Any] | None:
            return next(
                (one for one in self.events[since:] if one["event"] == kind and one.get("name") == "node"),
                None,
            )

        with self._said:
            assert self._said.wait_for(lambda: found() is not None, PATIENCE), f"no {kind}: {self.events}"
            event = found()
        assert event is not None
        return event

    def ask(self, path: str, body: bytes = BODY) -> tuple[int, bytes]:
        """Send a request; return status and body, (0, b"") where the node died of it.

        A node that was held up sheds load for a moment: it is asked again then.
        """
        end = time.monotonic() + PATIENCE
        while (answer := self._ask(path, body))[0] == 503 and time.monotonic() < end:
            time.sleep(0.05)
        return answer

    def _ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except (http.client.HTTPException, OSError):
            return 0, b""
        finally:
            connection.close()

    def forward(self, times: int) -> None:
        """Have some facts acknowledged."""
        for number in range(times):
            assert self.ask("/seen", b'{"how":"%d"}' % number)[0] == 204

    @property
    def pid(self) -> int:
        """The node's process."""
        return json.loads((self.folder / "processes.json").read_bytes())["node"]["pid"]

    def forwarded(self) -> int:
        """Return how many facts are in its outbox."""
        account = read_account(self.folder)
        return sum(lane.forwarded for lane in account.lanes if lane.lane == "seen") if account else 0

    def buried(self) -> list[str | None]:
        """Return the functions of its dead letters."""
        return [letter.function for _, letter in dead_letters(self.folder)]

    def placed(self) -> dict[str, str]:
        """Return where functions were moved."""
        kept = msgspec.json.decode((self.folder / "node" / "placement.json").read_bytes())
        return {name: one["where"] for name, one in kept["functions"].items()}

    def snapshot(self, wanted: str) -> Snapshot:
        """Return its figures once its health has a part; they are written twice a second."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = read_snapshot(self.folder / "node" / "trace.db")
            if found is not None and wanted in found.health:
                return found
            time.sleep(0.05)
        raise AssertionError(f"health says nothing of {wanted}")
