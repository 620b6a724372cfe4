"""The device that publishes numbers at QoS 1, and the reader that writes down which of them a cloud has."""

import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Self

from benchmarks.rig.processes import BenchError
from rimward.protocols.mqtt import Connack, Connect, Packet, Puback, Publish, Subscribe, Subscription, encode
from rimward.protocols.mqtt.client import ClientSession

VERSION = 4
WINDOW = 20  # numbers under way
PATIENCE = 30.0  # seconds without an answer


class _Line:
    """One connection; it waits for what comes."""

    def __init__(self, port: int, name: str, *, clean: bool = True) -> None:
        connect = Connect(name, VERSION, clean_start=clean)
        self._session = ClientSession(connect, 0.0)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(self._session.data_to_send(0.0))
        connack, *early = self.receive()
        if not isinstance(connack, Connack) or connack.reason:
            raise BenchError("a broker refused a connection")
        self.early: list[Packet] = early  # what its session had for it

    def send(self, packets: list[Packet]) -> None:
        self._socket.sendall(b"".join(encode(packet, VERSION) for packet in packets))

    def receive(self, patience: float = PATIENCE) -> list[Packet]:
        """Return the packets that come next.

        Raises:
            TimeoutError: none came.
            BenchError: the connection is closed.
        """
        self._socket.settimeout(patience)
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise BenchError("a broker closed the connection")
            if packets := self._session.receive_data(data):
                return packets

    def close(self) -> None:
        self._socket.close()


def publish(port: int, topic: str, numbers: range, rate: float) -> None:
    """Publish numbers at QoS 1, so many a second at most, and return when all are acknowledged.

    Raises:
        BenchError: an acknowledgement did not come.
    """
    line = _Line(port, "device")
    acknowledged = sent = 0
    begin = time.monotonic()
    try:
        while acknowledged < len(numbers):
            due = min(len(numbers), 1 + int((time.monotonic() - begin) * rate), acknowledged + WINDOW)
            if sent < due:
                line.send([Publish(topic, b'{"n": %d}' % numbers[n], 1, packet_id=n % 65535 + 1)
                           for n in range(sent, due)])  # fmt: skip
                sent = due
            if sent > acknowledged:
                acknowledged += sum(isinstance(packet, Puback) for packet in line.receive())
            else:
                time.sleep(0.5 / rate)
    except (OSError, BenchError) as error:
        raise BenchError(f"{len(numbers) - acknowledged} numbers were not acknowledged: {error}") from None
    finally:
        line.close()


class Reader:
    """A subscriber whose session its broker keeps; what it was given counts."""

    def __init__(self) -> None:
        self.got: Counter[int] = Counter()
        self._line: _Line | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def come(self, port: int, topic: str) -> None:
        """Connect and subscribe."""
        self._line = _Line(port, "reader", clean=False)
        self._take(self._line.early)
        self._line.send([Subscribe(1, (Subscription(topic, qos=1),))])

    def leave(self) -> None:
        """Hang up; the session stays."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def read(self, quiet: float) -> None:
        """Read until nothing has come for so many seconds."""
        assert self._line is not None
        with suppress(TimeoutError):
            while True:
                self._take(self._line.receive(quiet))

    def _take(self, packets: list[Packet]) -> None:
        assert self._line is not None
        for packet in packets:
            if isinstance(packet, Publish):
                self.got[int(bytes(packet.payload)[6:-1])] += 1
                if packet.packet_id:
                    self._line.send([Puback(packet.packet_id)])
