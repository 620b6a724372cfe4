"""`rimward dev` on a bus that runs already: it starts none, and rows come through."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .running import PATIENCE, Dev, until

APP = """\
from msgspec import Struct
from rimward import App, http

app = App("outside", compat="2026-11-01")


class Count(Struct):
    n: int


@app.fact
class Counted(Struct):
    n: int


@app.edge(http.post("/count"))
def count(given: Count) -> None:
    app.forward(Counted(given.n))
"""


@contextmanager
def nats_server(folder: Path) -> Generator[int]:
    """Run a server with one user, anna, and JetStream."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    assert program is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "nats.conf"
    users = [{"user": "anna", "password": "p@ss/word"}]
    store = {"store_dir": str(folder / "store")}
    config.write_text(
        json.dumps({"host": "127.0.0.1", "port": port, "jetstream": store, "authorization": {"users": users}})
    )
    server = subprocess.Popen(
        [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: answers(port), "the bus listens")
        yield port
    finally:
        server.terminate()
        server.wait(PATIENCE)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(120)
def test_rows_come_through_a_bus_that_is_someone_elses(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with nats_server(tmp_path) as port:
        address = f"nats://anna:p%40ss%2Fword@127.0.0.1:{port}"
        with Dev(tmp_path / "app.py", tmp_path / "data", "--bus", address) as dev:
            assert dev.ready["pids"]["bus"] is None
            assert dev.ready["pids"]["hub"] is not None
            sent = dev.run("send", "http", "POST", "/count", '{"n": 7}')
            assert sent.returncode == 0, sent.stderr
            query = "select n from counted"
            until(lambda: "7" in dev.run("sql", query, "--json").stdout, "the row is in the lake")
            ledger = {one["fact"]: one["stored"] for one in dev.json_lines("ledger") if not one["system"]}
            assert ledger == {"counted": 1}
        assert answers(port), "a bus that is not ours goes on"
        assert not (tmp_path / "data" / "bus").exists()


def test_an_address_that_is_none_is_refused_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "rimward", "dev", str(tmp_path / "app.py"), "--bus", "nats://a:secret@x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert "'x' is not an address such as nats://" in done.stderr
    assert "secret" not in done.stderr.replace("password", "")
