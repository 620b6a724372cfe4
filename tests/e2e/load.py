"""Devices that publish without end at QoS 1, and the account of what they were told and the lake holds."""

import subprocess
import threading
from pathlib import Path
from typing import Self

from tests.e2e.running import Dev, until

# Two functions and three facts a message: all of it or nothing.
APP = """\
from msgspec import Struct
from rimward import App, mqtt

app = App("kills", compat="2026-11-01")


class Reading(Struct):
    n: int


@app.fact(priority="critical")
class Seen(Struct):
    meter: str
    n: int


@app.fact
class Twice(Struct):
    meter: str
    n: int


@app.fact(priority="bulk")
class Copy(Struct):
    meter: str
    n: int


@app.edge(mqtt("meters/{meter}/reading"))
def keep(meter: str, reading: Reading) -> None:
    app.forward(Seen(meter, reading.n))
    app.forward(Twice(meter, reading.n))


@app.edge(mqtt("meters/{meter}/reading"))
def copy(meter: str, reading: Reading) -> None:
    app.forward(Copy(meter, reading.n))
"""
TABLES = ("seen", "twice", "copy")
Message = tuple[str, int]


def write_app(folder: Path) -> Path:
    """Write the app file."""
    app = folder / "app.py"
    app.write_text(APP)
    return app


class Load:
    """So many devices, each publishing one message after the other with mosquitto_pub, while it is open."""

    def __init__(self, port: int, devices: int = 2, name: str = "m") -> None:
        self._port = port
        self._stopped = threading.Event()
        self.sent: set[Message] = set()
        self.acknowledged: set[Message] = set()
        self._threads = [
            threading.Thread(target=self._publish, args=(f"{name}{device}",)) for device in range(devices)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more messages are acknowledged."""
        wanted = len(self.acknowledged) + count
        until(lambda: len(self.acknowledged) >= wanted, f"{count} more acknowledged messages")

    def _publish(self, meter: str) -> None:
        n = 0
        while not self._stopped.is_set():
            self.sent.add((meter, n))
            done = subprocess.run(
                ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self._port), "-i", f"{meter}-{n}", "-q", "1",
                 "-t", f"meters/{meter}/reading", "-m", f'{{"n": {n}}}'],
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                self.acknowledged.add((meter, n))
            else:
                self._stopped.wait(0.05)  # the port is back in a moment; don't spend the time on refusals
            n += 1


def check(dev: Dev, sent: set[Message], acknowledged: set[Message]) -> None:
    """Assert that what was acknowledged is there, whole and once, and nothing that was never sent."""

    def settled() -> bool:
        entries = [entry for entry in dev.json_lines_of_any("ledger") if entry["fact"] in TABLES]
        counts = [entry["stored"] for entry in entries if entry["balanced"] and not entry["waiting"]]
        return len(counts) == len(TABLES) and min(counts) >= len(acknowledged)

    until(settled, "all that was acknowledged is stored, nothing waits and the ledger balances")
    union = " union all ".join(
        f"select '{name}' as t, meter, n, _node, _epoch, _seq from {name}" for name in TABLES
    )
    rows = dev.json_lines("sql", union)
    found = {name: sorted((row["meter"], row["n"]) for row in rows if row["t"] == name) for name in TABLES}
    assert found["seen"] == found["twice"] == found["copy"], "a message's facts come together or not at all"
    assert acknowledged <= set(found["seen"])
    assert set(found["seen"]) - acknowledged <= sent - acknowledged, "extra rows were sent and not answered"
    identities = {(row["t"], row["_node"], row["_epoch"], row["_seq"]) for row in rows}
    assert len(identities) == len(rows)
