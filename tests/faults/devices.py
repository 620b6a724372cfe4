"""Devices that publish at QoS 1 and resend with DUP whatever was not acknowledged, all on one loop."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from rimward.protocols.mqtt import Connack, Connect, Packet, Puback, Publish, encode
from rimward.protocols.mqtt.client import ClientSession

from .fleet import until

VERSION = 4
WINDOW = 64  # messages of one device that are not acknowledged
RETRY = 0.05  # seconds between connections
TICK = 0.02  # seconds between two bursts
Message = tuple[str, int]


class Account:
    """What all devices have sent, how often, and what they were told."""

    def __init__(self) -> None:
        self.sent: Counter[Message] = Counter()  # transmissions
        self.acknowledged: set[Message] = set()
        self.resent = 0  # transmissions with DUP

    def __or__(self, other: "Account") -> "Account":
        both = Account()
        both.sent = self.sent + other.sent
        both.acknowledged = self.acknowledged | other.acknowledged
        both.resent = self.resent + other.resent
        return both


class _Device(asyncio.Protocol):
    def __init__(self, name: str, port: int, rate: float, account: Account) -> None:
        self._name = name
        self._port = port
        self._rate = rate  # messages a second
        self._account = account
        self._owed = 0.0
        self._next = 0
        self._packet_id = 0
        self._waiting: dict[int, int] = {}  # packet id to number
        self._session: ClientSession | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    async def run(self, stopping: asyncio.Event, leaving: asyncio.Event) -> None:
        """Publish until it is to stop and nothing of it waits, or it is to leave as it is."""
        loop = asyncio.get_running_loop()
        while not leaving.is_set() and not (stopping.is_set() and not self._waiting):
            self._lost.clear()
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(RETRY)
                continue
            while not self._lost.is_set() and not leaving.is_set():
                if stopping.is_set() and not self._waiting:
                    break
                await asyncio.sleep(TICK)
                if not stopping.is_set():
                    self._burst()
            if self._transport is not None:
                self._transport.abort()
            await asyncio.sleep(RETRY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._session = ClientSession(Connect(self._name, VERSION), time.monotonic())
        transport.write(self._session.data_to_send(0.0))

    def data_received(self, data: bytes) -> None:
        assert self._session is not None
        for packet in self._session.receive_data(data):
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Connack) and not packet.reason:
            for packet_id, number in self._waiting.items():
                self._account.resent += 1
                self._publish(packet_id, number, dup=True)
        elif isinstance(packet, Puback) and (number := self._waiting.pop(packet.packet_id, None)) is not None:
            self._account.acknowledged.add((self._name, number))

    def connection_lost(self, exc: Exception | None) -> None:
        self._session = None
        self._lost.set()

    def _burst(self) -> None:
        if self._session is None or self._session.connack is None:
            return
        self._owed = min(WINDOW, self._owed + self._rate * TICK)
        while self._owed >= 1 and len(self._waiting) < WINDOW:
            self._owed -= 1
            self._packet_id = self._packet_id % 0xFFFF + 1
            self._waiting[self._packet_id] = self._next
            self._publish(self._packet_id, self._next, dup=False)
            self._next += 1

    def _publish(self, packet_id: int, number: int, *, dup: bool) -> None:
        assert self._transport is not None
        self._account.sent[self._name, number] += 1
        topic = f"meters/{self._name}/reading"
        packet = Publish(topic, b'{"n": %d}' % number, 1, packet_id=packet_id, dup=dup)
        self._transport.write(encode(packet, VERSION))


class Devices:
    """So many devices at each port, on a loop of their own, while it is open; then nothing of them waits."""

    def __init__(self, ports: Sequence[int], *, each: int, rate: float, prefix: str = "m") -> None:
        """`rate` is messages a second of all together."""
        self.account = Account()
        self._names = [
            (f"{prefix}{index}d{one}", port) for index, port in enumerate(ports) for one in range(each)
        ]
        self._rate = rate / len(self._names)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="devices")
        self._stopping = asyncio.Event()
        self._leaving = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nothing waited
            self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more messages are acknowledged."""
        wanted = len(self.account.acknowledged) + count
        until(lambda: len(self.account.acknowledged) >= wanted, f"{count} more acknowledged messages")

    def finish(self, patience: float = 60.0) -> bool:
        """Publish nothing new; return whether everything was acknowledged in the end."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._all())
        finally:
            self._loop.close()

    async def _all(self) -> None:
        devices = [_Device(name, port, self._rate, self.account) for name, port in self._names]
        await asyncio.gather(*(device.run(self._stopping, self._leaving) for device in devices))
