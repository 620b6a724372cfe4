# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow ships partial types)
"""What the figures of a whole site share: its app, devices that publish live, and a table that is watched."""

import json
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from rimward.protocols.mqtt import Connect, Packet, Publish, encode
from rimward.protocols.mqtt.client import ClientSession

APP = """from msgspec import Struct

from rimward import App, mqtt

app = App("deep", compat="2026-11-01")


class Reading(Struct):
    n: int


class Sent(Struct):
    sent: int


@app.fact
class Seen(Struct):
    meter: str
    n: int
    text: str


@app.fact
class Warm(Struct):
    sensor: str
    degrees: float
    humidity: float
    alarm: bool


@app.fact
class Live(Struct):
    sent: int


@app.fact(priority="critical")
class Alarm(Struct):
    sent: int


@app.edge(mqtt("{who}/question"), durable=False)
def answer(who: str, reading: Reading) -> None:
    app.publish(f"{who}/answer", reading)


@app.edge(mqtt("meters/{meter}/reading"))
def keep(meter: str, reading: Reading) -> None:
    app.forward(Seen(meter, reading.n, f"{reading.n * 2654435761 % 2**32:x}" * 12))


@app.edge(mqtt("live/{device}/live"))
def live(device: str, event: Sent) -> None:
    app.forward(Live(event.sent))


@app.edge(mqtt("live/{device}/alarm"))
def alarm(device: str, event: Sent) -> None:
    app.forward(Alarm(event.sent))
"""
POLL = 0.002  # seconds between two looks for the next version of a table
TICK = 0.005  # seconds between two bursts of a device
VERSION = 4  # of MQTT


def app_in(folder: Path) -> Path:
    """Write the app and return its path."""
    path = folder / "app.py"
    path.write_text(APP)
    return path


class Line:
    """A device's connection that waits for its answers."""

    def __init__(self, port: int, name: str) -> None:
        self._session = ClientSession(Connect(name, VERSION), 0.0)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._session.data_to_send(0.0))
        self.next()

    def send(self, *packets: Packet) -> None:
        """Write packets at once."""
        self._socket.sendall(b"".join(encode(packet, VERSION) for packet in packets))

    def next(self) -> list[Packet]:
        """Return the next packets that come."""
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError
            if packets := self._session.receive_data(data):
                return packets

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Stream:
    """A device that publishes the moment of sending at QoS 1, so many times a second, while it is open."""

    def __init__(self, port: int, topic: str, rate: float) -> None:
        self.acknowledged = 0
        self._line = Line(port, topic.replace("/", "-"))
        self._topic = topic
        self._rate = rate
        self._over = threading.Event()
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=part) for part in (self._send, self._hear)]
        self.sent = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._threads[0].join()
        self._ends.set()
        self._threads[1].join()
        self._line.close()

    def _send(self) -> None:
        start = time.monotonic()
        while not self._over.wait(TICK):
            due = int((time.monotonic() - start) * self._rate)
            packets: list[Publish] = []
            while self.sent < due:
                self.sent += 1
                text = b'{"sent": %d}' % time.monotonic_ns()
                packets.append(Publish(self._topic, text, 1, packet_id=self.sent % 0xFFFF + 1))
            if packets:
                self._line.send(*packets)

    def _hear(self) -> None:
        while not self._ends.is_set() or self.acknowledged < self.sent:
            if self.sent > self.acknowledged:
                self.acknowledged += len(self._line.next())
            else:
                time.sleep(TICK)


class Watched:
    """A table whose versions are noticed as they come; its files are read when the watch is over."""

    def __init__(self, table: Path) -> None:
        self.seen: list[int] = []  # monotonic ns at which each version of the watch was there
        self._table = table
        self._first = 0  # version
        self._counted = self._rows = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        log = self._table / "_delta_log"
        self._first = 1 + max((int(path.stem) for path in log.glob("*[0-9].json")), default=-1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Notice no further versions."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(POLL):
            while self._entry(len(self.seen)).exists():
                self.seen.append(time.monotonic_ns())

    def _entry(self, number: int) -> Path:
        return self._table / "_delta_log" / f"{self._first + number:020}.json"

    def rows(self, *columns: str) -> Generator[tuple[int, dict[str, list[Any]]]]:
        """Yield for each commit of rows when it was there and its columns, in the order of commits."""
        for number, at in enumerate(self.seen):
            for line in self._entry(number).read_text().splitlines():
                added = json.loads(line).get("add")
                if added is not None and added["dataChange"]:
                    file = pq.ParquetFile(self._table / added["path"])
                    yield at, file.read(columns=list(columns)).to_pydict()

    def count(self) -> int:
        """Return how many rows were committed."""
        while self._counted < len(self.seen):
            for line in self._entry(self._counted).read_text().splitlines():
                added = json.loads(line).get("add")
                if added is not None and added["dataChange"]:
                    self._rows += json.loads(added["stats"])["numRecords"]
            self._counted += 1
        return self._rows

    def delays(self, begin: int = 0, end: int = 1 << 63) -> list[float]:
        """Return the seconds from sending to row, sorted, of what was sent in a span of monotonic ns."""
        return sorted(
            (at - sent) / 1e9
            for at, columns in self.rows("sent")
            for sent in columns["sent"]
            if begin <= sent < end
        )


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(len(values) * share))]
