"""A browser without a window, and a web server of the test's own for its pages and what they report."""

import functools
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from .running import PATIENCE


class Pages:
    """A web server on a free port: `pages` out, and the reports of pages in."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}  # by path: content type and body
        self.reports: queue.Queue[Any] = queue.Queue()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, body = owner.pages.get(self.path, ("text/plain", b""))
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                owner.reports.put(json.loads(body))

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=functools.partial(self._server.serve_forever, 0.05))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def browsing(url: str, profile: Path) -> Generator[None]:
    """Open a page in a browser without a window."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs the Debian package chromium")
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    with (profile.parent / f"{profile.name}.log").open("wb") as log:
        command = [program, *options, f"--user-data-dir={profile}", url]
        browser = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield
        finally:
            browser.terminate()
            browser.wait(PATIENCE)
