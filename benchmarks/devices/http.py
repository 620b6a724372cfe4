"""One HTTP function: at a node, at workerd, and at uvicorn without a framework; wrk is the load."""

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.rig.installing import debian, npm
from benchmarks.rig.processes import CLIENT_CPU, BenchError, process
from benchmarks.rig.servers import free_port, listens, rimward

HERE = Path(__file__).parent
CONNECTIONS = 64
BODY = b'{"celsius":31.5,"place":"here"}'
REQUEST = (
    b"POST /limit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


class Answered(Struct, frozen=True):
    """What wrk saw; times in us."""

    requests: int
    seconds: float
    p50: int
    p99: int
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


@contextmanager
def node() -> Generator[int]:
    """Run the function at a node."""
    with rimward(app=HERE / "app.py", probe=False) as server:
        yield server.http


@contextmanager
def workerd() -> Generator[int]:
    """Run it at workerd, of which npm brings the program."""
    folder = npm("workerd") / "node_modules" / "@cloudflare"
    programs = sorted(folder.glob("workerd-*/bin/workerd"))
    if not programs:
        raise BenchError("npm has no workerd for this machine")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        config = (HERE / "web" / "config.capnp").read_text().replace("PORT", str(port))
        (Path(data) / "config.capnp").write_text(config)
        (Path(data) / "worker.js").write_bytes((HERE / "web" / "worker.js").read_bytes())
        with process([programs[0], "serve", Path(data) / "config.capnp"]):
            listens(port)
            yield port


@contextmanager
def uvicorn() -> Generator[int]:
    """Run it at uvicorn with uvloop and httptools, which Rimward uses as well."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", HERE / "web", "asgi:app", "--port", str(port)]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
    with process(command):
        listens(port)
        yield port


WEB: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "rimward": node,
    "workerd": workerd,
    "uvicorn": uvicorn,
}


def web(rounds: int, seconds: int) -> dict[str, list[Answered]]:
    """Return what each server gave in each round, a fresh server every time.

    Raises:
        BenchError: Rimward or the load client can't be had.
    """
    wrk, samples = debian("wrk", "wrk"), {name: list[Answered]() for name in WEB}
    for number in range(rounds):
        for name, server in WEB.items():
            print(f"bench: round {number + 1} of {rounds}, HTTP, {name}", file=sys.stderr)
            try:
                with server() as port:
                    _is_right(port)
                    _load(wrk, port, 1)  # a virtual machine for JavaScript wants to be warm
                    samples[name].append(_load(wrk, port, seconds))
            except BenchError as error:
                if name == "rimward":
                    raise
                print(f"bench: without {name}: {error}", file=sys.stderr)
    return samples


def _load(wrk: str, port: int, seconds: int) -> Answered:
    options = ["-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", str(HERE / "web" / "post.lua")]
    command = ["taskset", "-c", str(CLIENT_CPU), wrk, *options, f"http://127.0.0.1:{port}/limit"]
    shown = subprocess.run(command, capture_output=True, check=True)
    answered = msgspec.json.decode(shown.stdout.splitlines()[-1], type=Answered)
    if answered.failed or not answered.requests:
        raise BenchError(f"{answered.failed} of {answered.requests} requests failed")
    return answered


def _is_right(port: int) -> None:
    """Wait for the right answer."""
    end = time.monotonic() + 10
    while True:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
            caller.sendall(REQUEST)
            answer = b""
            while part := caller.recv(4096):
                answer += part
        if answer.startswith(b"HTTP/1.1 200") and answer.endswith(b'{"mode":"max"}'):
            return
        if time.monotonic() > end:
            raise BenchError(f"the answer is {answer!r}")
        time.sleep(0.05)
