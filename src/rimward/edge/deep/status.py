"""What the deep process says of itself: `uplink.json` for people, `link` for the outbox's writer."""

import asyncio
import contextlib
import sqlite3
import time
from typing import Any

import msgspec

from rimward.edge.deep.backlog import Backlog
from rimward.edge.deep.outgoing import Outgoing

EVERY = 1.0  # seconds


class Status:
    """Writes both files, once a second and when the link comes or goes."""

    def __init__(self, out: Outgoing) -> None:
        self._out = out
        self._up: bool | None = None
        self._backlog = Backlog()

    async def run(self) -> None:
        """Write for as long as the process lives: silence counts as a sign of death."""
        while True:
            self.write()
            await asyncio.sleep(EVERY)

    def write(self) -> None:
        """Write what holds now."""
        out, path = self._out, self._out.path
        status: dict[str, Any] = {
            "at": time.time_ns(),
            "connected": path.up,
            "rtt_ms": round(path.rtt * 1e3, 3),
            "jitter_ms": round(path.jitter * 1e3, 3),
            "rtt_p99_ms": round(path.histogram.percentile(99) / 1e6, 3),
            "lanes": out.core.behind(),
            "backlog": self._waiting(),
            "corrupt": out.reader.corrupt if out.reader else 0,
            "clashes": len(out.book.clashes),
            "errors": {name: count for name, count in out.counts.items() if count},
            "bus": out.url,
            "hub": out.hub,
            "verdict": out.verdict,
            "denied": out.denied,
            "refusal": out.refusal,
            **out.core.state(),
        }
        out.files.write("uplink.json", msgspec.json.encode(status))
        if path.up != self._up:
            link = {"up": path.up, "since": time.time_ns()}
            if out.files.write("link", msgspec.json.encode(link)):
                self._up = path.up

    def _waiting(self) -> dict[str, Any]:
        """Return what waits for the lake; as it was, where the outbox can't be read."""
        reader, core = self._out.reader, self._out.core
        if reader is not None:
            with contextlib.suppress(sqlite3.Error):
                self._backlog.look(reader.tallies(), core.stored, time.monotonic())
        return self._backlog.state()
