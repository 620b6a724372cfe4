"""Floods against a running node: what it holds, what it says, and what another device notices.

`python -m tests.soak.floods [SECONDS]`. Each flood lasts SECONDS (10). A line of figures is printed for each;
the run fails where a cap is broken: memory, the log, the data folder, or the other device's p99 as a ratio
to its p99 before the flood.
"""

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.e2e.running import Dev

from rimward.protocols.mqtt import (
    Connect,
    Packet,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    encode,
)
from rimward.protocols.mqtt.client import ClientSession

APP = """from msgspec import Struct

from rimward import App, mqtt

app = App("floods", compat="2026-11-01")


class Reading(Struct):
    celsius: float


@app.edge(mqtt("{who}/reading"))
def answer(who: str, reading: Reading) -> None:
    app.publish(f"{who}/command", reading)
"""
WORST_RATIO = 50.0  # of the other device's p99; two busy cores are shared with the flood itself
GROWTH = 200 << 20  # bytes that the node's memory may grow by in one flood
LOG = 64 << 10  # bytes that all logs may grow by in one flood
DISK = 64 << 20  # bytes that the data folder may grow by in one flood


class Peer:
    """A device on a blocking socket."""

    def __init__(self, port: int, name: str) -> None:
        self.session = ClientSession(Connect(name, 5), 0.0)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30.0)
        self._came: list[Packet] = []
        self.flush()
        self.next()

    def flush(self) -> None:
        """Send what the session has."""
        self.socket.sendall(self.session.data_to_send(0.0))

    def next(self) -> Packet:
        """Return the next packet."""
        while not self._came:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._came += self.session.receive_data(data)
        return self._came.pop(0)

    def send(self, *packets: Packet) -> None:
        """Send packets as they are."""
        self.socket.sendall(b"".join(encode(packet, 5) for packet in packets))

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


class Pulse:
    """Another device: it asks for an answer again and again, and notes how long each took."""

    def __init__(self, port: int) -> None:
        self._peer = Peer(port, "pulse")
        self._peer.send(Subscribe(1, (Subscription("pulse/command"),)))
        self._peer.next()

    def p99(self, seconds: float) -> float:
        """Return the p99 of its answers, in ms, over a time."""
        took: list[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            self._peer.send(Publish("pulse/reading", b'{"celsius":1}'))
            self._peer.next()
            took.append(time.perf_counter() - start)
            time.sleep(0.005)
        return sorted(took)[len(took) * 99 // 100] * 1e3


def garbage(port: int) -> Iterator[None]:
    """Payloads that no function takes: each is a dead letter."""
    peer = Peer(port, f"garbage-{threading.get_ident()}")
    for n in count(1):
        window = [Publish("g/reading", b"x" * 2000, 1, packet_id=n % 60 * 1000 + k + 1) for k in range(50)]
        peer.send(*window)
        for _ in window:
            assert isinstance(peer.next(), Puback)
        yield


def hanging_up(port: int) -> Iterator[None]:
    """Connections that come and go, half of them without a word."""
    while True:
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"\x10")
        Peer(port, f"brief-{threading.get_ident()}").close()
        yield


def subscriptions(port: int) -> Iterator[None]:
    """As many subscriptions as one client may have, from many clients."""
    peers: list[Peer] = []
    for n in count():
        peer = Peer(port, f"subscriber-{threading.get_ident()}-{n}")
        for part in range(4):
            wishes = tuple(Subscription(f"s/{n}/{part}/{k}/+/#") for k in range(64))
            peer.send(Subscribe(part + 1, wishes))
            assert isinstance(peer.next(), Suback)
        peers.append(peer)
        yield


def retained(port: int) -> Iterator[None]:
    """Retained messages on ever new topics, past the limit, and subscribers to all of them."""
    peer = Peer(port, f"retainer-{threading.get_ident()}")
    for n in count():
        for k in range(200):
            topic = f"r/{threading.get_ident()}/{n * 200 + k}"
            peer.send(Publish(topic, b"x" * 1000, 1, retain=True, packet_id=k + 1))
        for _ in range(200):
            assert isinstance(peer.next(), Puback)
        reader = Peer(port, f"all-{threading.get_ident()}")
        reader.send(Subscribe(1, (Subscription("r/#", 0),)))
        reader.next()
        reader.close()
        yield


def deaf(port: int) -> Iterator[None]:
    """Subscribers that never read what is published to them."""
    readers = [Peer(port, f"deaf-{threading.get_ident()}-{n}") for n in range(20)]
    for reader in readers:
        reader.send(Subscribe(1, (Subscription("d/#", 0),)))
        reader.next()
    peer = Peer(port, f"loud-{threading.get_ident()}")
    while True:
        peer.send(*[Publish("d/x", b"x" * 10_000, 1, packet_id=k + 1) for k in range(20)])
        for _ in range(20):
            assert isinstance(peer.next(), Puback)
        yield


FLOODS: tuple[Callable[[int], Iterator[None]], ...] = (garbage, hanging_up, subscriptions, retained, deaf)


@contextmanager
def under(flood: Callable[[int], Iterator[None]], port: int) -> Generator[list[int]]:
    """Have two threads flood a port until the block ends; yields how many steps each has made."""
    over = threading.Event()
    steps = [0, 0]

    def run(index: int) -> None:
        for _ in flood(port):
            steps[index] += 1
            if over.is_set():
                return

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield steps
    finally:
        over.set()
        for thread in threads:
            thread.join(30.0)


def memory(pid: int) -> int:
    """Return a process's resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def size(folder: Path) -> int:
    """Return the bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def broken_caps(dev: Dev, flood: Callable[[int], Iterator[None]], seconds: float) -> list[str]:
    """Run one flood, print its figures, and return which caps it broke."""
    port, pulse = dev.ready["mqtt"], Pulse(dev.ready["mqtt"])
    before = pulse.p99(min(seconds, 5.0))
    node = dev.pids()["node"]
    assert node is not None
    rss, logs, disk = memory(node), size(dev.data / "logs"), size(dev.data)
    with under(flood, port) as steps:
        during = pulse.p99(seconds)
    figures = {
        "ratio of p99": (during / before, WORST_RATIO),
        "memory": (memory(node) - rss, GROWTH),
        "log": (size(dev.data / "logs") - logs, LOG),
        "disk": (size(dev.data) - disk, DISK),
    }
    said = ", ".join(f"{name} {value:.1f}" for name, (value, _) in figures.items())
    print(f"{flood.__name__:14} {sum(steps):6} steps, p99 {before:.2f} → {during:.2f} ms, {said}", flush=True)
    broken = [
        f"{flood.__name__}: {name} is {value:.1f}, the cap is {cap}"
        for name, (value, cap) in figures.items()
        if value > cap
    ]
    if not all(steps):
        broken.append(f"{flood.__name__}: the flood came to nothing")
    if dev.pids()["node"] != node:
        broken.append(f"{flood.__name__}: the node died")
    return broken


def main(arguments: list[str]) -> int:
    """Run every flood against one node."""
    seconds = float(arguments[0]) if arguments else 10.0
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app.py"
        app.write_text(APP)
        with Dev(app, Path(folder) / "data") as dev:
            broken = [line for flood in FLOODS for line in broken_caps(dev, flood, seconds)]
    for line in broken:
        print(f"BROKEN {line}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
