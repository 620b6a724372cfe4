"""How much one client may send, and one class of topics: token buckets, asked once a read.

Only a node that is configured so has them. What is beyond its rate is said in the protocol's words. QoS 0
can't be told: it is dropped and counted. MQTT 5 is answered with 0x97.
MQTT 3.1.1 has no such answer: the client is not read until its rate allows for what it has sent, and where
that would take longer than `patience`, the connection is closed without the acknowledgement.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Refusal, Ticket
from rimward.edge.gateways.admission import class_buckets
from rimward.edge.gateways.mqtt.arrival import Arrival
from rimward.protocols.buckets import Bucket
from rimward.protocols.mqtt import Publish
from rimward.protocols.mqtt.stream import PlainPublish, Taken, packet_of

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.config import RateConfig
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.gate import Gate

LEAST_BYTES = 64 << 10  # of a burst


class OverRate(Publish, frozen=True, gc=False):
    """A message beyond its rate; its type keeps it out of the others' short way."""


class Rates:
    """The buckets of the classes, and what each connection's are made of."""

    def __init__(self, config: "RateConfig", priority: Callable[[str], str], now: float) -> None:
        """`priority` names the class of a topic; `now` is monotonic seconds."""
        self.config = config
        self.priority = priority
        self.classes: dict[str, Bucket] = class_buckets(config, now)

    def limit(self, connection: "Connection", gate: "Gate") -> None:
        """Hold a connection that is just made to its rate."""
        connection.cut = Rate(self, connection, gate).cut


class Rate:
    """One connection's buckets."""

    __slots__ = ("_bytes", "_connection", "_gate", "_messages", "_rates")

    def __init__(self, rates: Rates, connection: "Connection", gate: "Gate") -> None:
        config, now = rates.config, gate.clock() * 1e-9
        self._rates = rates
        self._connection = connection
        self._gate = gate
        self._messages: Bucket | None = None
        self._bytes: Bucket | None = None
        if rate := config.messages:
            self._messages = Bucket(rate, max(1.0, rate * config.burst), now)
        if rate := config.bytes:
            least = max(LEAST_BYTES, gate.config.max_packet_size)
            self._bytes = Bucket(rate, max(float(least), rate * config.burst), now)

    def cut(self, data: bytes) -> list[Taken]:
        """Return what a read completes, as `Decoder.cut`, the messages beyond their rate as `OverRate`."""
        session = self._connection.session
        taken = session.cut(data)
        if not taken or not session.accepted:
            return taken
        now = self._gate.clock() * 1e-9
        return [self._admit(one, now) if isinstance(one, tuple | Publish) else one for one in taken]

    def _admit(self, taken: PlainPublish | Publish, now: float) -> PlainPublish | Publish:
        packet = packet_of(taken)
        assert isinstance(packet, Publish)
        costs = self._costs(packet)
        wait = max((bucket.lack(cost, now) for bucket, cost in costs), default=0.0)
        if wait and not self._may_wait(packet, wait):
            return OverRate(*(getattr(packet, name) for name in packet.__struct_fields__))
        for bucket, cost in costs:
            bucket.owe(cost, now)
        if wait:
            self._pause(wait)
        return taken

    def _costs(self, packet: Publish) -> list[tuple[Bucket, float]]:
        costs: list[tuple[Bucket, float]] = []
        if self._messages is not None:
            costs.append((self._messages, 1))
        if self._bytes is not None:
            costs.append((self._bytes, len(packet.topic) + len(packet.payload)))
        classes = self._rates.classes
        if classes and (of_class := classes.get(self._rates.priority(packet.topic))) is not None:
            costs.append((of_class, 1))
        return costs

    def _may_wait(self, packet: Publish, wait: float) -> bool:
        """Tell whether a message is taken after all, and the client has to wait for its next."""
        version = self._connection.session.version
        return version == 4 and packet.qos > 0 and wait <= self._rates.config.patience

    def _pause(self, seconds: float) -> None:
        connection = self._connection
        connection.count("clients_slowed")
        connection.listen(again=False)
        asyncio.get_running_loop().call_later(seconds, self._read_again)

    def _read_again(self) -> None:
        connection = self._connection
        if not connection.leaving and len(connection.arrivals or ()) < self._gate.limits.receive_maximum:
            connection.listen(again=True)


def refuse(connection: "Connection", packet: OverRate, read_at: int) -> None:
    """Answer a message that is beyond its rate, in its turn."""
    connection.count("refused_over_rate")
    if not packet.qos:
        connection.count("dropped_over_rate")
    elif connection.hold(packet):
        ticket = Ticket()
        ticket.finish(Refusal("busy", "more is sent than the rate allows"))
        arrival = Arrival(connection, packet, connection.broker.route(packet.topic), read_at * 1e-9)
        connection.wait(arrival, ticket)
