"""Functions in processes of their own under `rimward dev`: what they hold and may do, what a death does."""

import http.client
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import Dev, gone, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
APP = """\
import os
import socket
from rimward import App, http

app = App("apart", compat="2026-11-01")


@app.edge(http.get("/try"), run="process")
def tries(what: str, path: str = "") -> str:
    try:
        if what == "die":
            os._exit(3)
        if what == "read":
            open(path, "rb").read(1)
        if what == "write":
            open(path, "wb")
        if what == "connect":
            socket.create_connection(("127.0.0.1", int(path)), 1)
        if what == "kill":
            os.kill(int(path), 0)
        if what == "fork":
            os.fork() or os._exit(0)
    except OSError as error:
        return type(error).__name__
    return f"{os.getpid()} {os.environ.get('RIMWARD_TEST_SECRET')}"


@app.edge(http.get("/near"))
def near() -> int:
    return os.getpid()
"""


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def held(pid: int) -> tuple[list[str], str]:
    """Return what a process has open beside its standard streams, and its environment."""
    folder = Path(f"/proc/{pid}/fd")
    found = [str(one.readlink()) for one in folder.iterdir() if int(one.name) > 2]
    return found, Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


def test_workers_hold_nothing_of_the_node_and_their_deaths_are_their_own(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "beside").write_text("x")
    environment = {**os.environ, "RIMWARD_TEST_SECRET": "7d1f2c"}
    with Dev(tmp_path / "app.py", tmp_path / ".rimward", environment=environment) as dev:
        port, node = dev.ready["http"], dev.ready["pids"]["node"]
        status, said = ask(port, "/try?what=nothing")
        assert status == 200
        worker, secret = said.split()
        assert secret == "None"
        assert int(worker) != int(ask(port, "/near")[1]) == node
        zygote = dev.pids()["zygote"]
        assert zygote is not None
        for pid in (zygote, int(worker)):
            fds, environ = held(pid)
            assert all(one.startswith(("socket:", "pipe:", "anon_inode:", "/memfd:")) for one in fds), fds
            assert "7d1f2c" not in environ
        assert len(held(int(worker))[0]) == 2  # its end of the socket to the node, and its page
        tried: dict[str, Any] = {
            "read&path=/etc/shadow": "PermissionError",
            f"read&path={dev.data}/run/node.json": "PermissionError",
            f"read&path={tmp_path}/beside": worker,
            f"write&path={tmp_path}/new": "PermissionError",
            f"connect&path={port}": "PermissionError",
            f"kill&path={node}": "PermissionError",
            "fork": "PermissionError",
        }
        found = {what: ask(port, f"/try?what={what}")[1].split()[0] for what in tried}
        assert found == tried
        assert ask(port, "/try?what=die")[0] == 500
        until(lambda: gone(int(worker)), "the worker is dead")
        assert ask(port, "/try?what=nothing")[0] == 200
        assert int(ask(port, "/near")[1]) == node
        before = dev.kill("zygote")
        assert ask(port, "/try?what=nothing")[0] == 200
        assert dev.pids()["zygote"] != before
        assert int(ask(port, "/near")[1]) == node
        until(lambda: "exit code 3" in str(status_of(dev)["health"].get("workers", "")), "health names it")
        status_now = status_of(dev)
        assert status_now["workers"]["tries"]["died"] == 1
        assert status_now["confinement"]["files"] == ""
        assert "exit code 3" in dev.run("status").stdout


def status_of(dev: Dev) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dev.run("status", "--json").stdout)
    return found
