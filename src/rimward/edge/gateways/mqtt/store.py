"""The sessions that outlive their connections, on disk and in number."""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Entry, Sender, Ticket
from rimward.edge.gateways.mqtt import records
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.disk import Disk
from rimward.edge.gateways.mqtt.records import MESSAGES, SESSIONS, TAKEN, SessionRecord
from rimward.protocols.mqtt.flights import Flight, Flights
from rimward.protocols.mqtt.outgoing import Outgoing

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.subscriber import Subscriber

NEVER = float("inf")
Found = tuple[Sender, SessionRecord, Flights]


class Store:
    """Writes what sessions keep, and says when it is too much.

    What has to be on disk before something is said is an `Entry` for the transaction that it belongs to; what
    is over is forgotten lazily: at worst the client gets a message at QoS 1 twice.
    """

    def __init__(self, disk: Disk, config: MqttConfig, counters: dict[str, int]) -> None:
        self.disk: Disk = disk
        self.size: int = 0  # bytes of all messages that sessions keep
        self._config = config
        self._counters = counters
        self.max_queue: int = min(config.max_queue, 1 << 15)  # a message that waits has its packet id already
        self._places = count(1)

    def next_place(self) -> int:
        """Return the next place in the order of all messages."""
        return next(self._places)

    # -- room

    def has_room(self, flights: Flights, message: Outgoing, client_id: str) -> bool:
        """Make room for a message, by the policy; False: it is dropped and counted."""
        config = self._config
        if self.size + message.size > config.max_queued_bytes:
            self._count("dropped_queues_full")
            return False
        while flights.count >= self.max_queue or flights.size + message.size > config.max_queue_bytes:
            oldest = flights.oldest() if config.queue_full == "oldest" else None
            self._count("dropped_queue_full")
            if oldest is None:
                return False
            self.forget(oldest, client_id)
        return True

    # -- messages

    def entry(self, flight: Flight, client_id: str) -> Entry:
        """Return what keeps a message."""
        self.size += flight.message.size
        return (MESSAGES, records.key_of(flight, client_id), self._encoded(flight))

    def keep_lazily(self, flight: Flight, flights: Flights, client_id: str) -> None:
        """Keep a message that nobody was promised, if it is not over by then."""
        self.size += flight.message.size
        self.disk.lazily(
            MESSAGES,
            records.key_of(flight, client_id),
            lambda: self._encoded(flight) if flights.holds(flight) else None,
        )

    def release(self, flight: Flight, client_id: str) -> Ticket:
        """Keep that the client has taken a message at QoS 2."""
        released = Flight(flight.message, flight.qos, retain=False, packet_id=flight.packet_id)
        released.seq, released.released = flight.seq, True
        return self.disk.keep([(MESSAGES, records.key_of(flight, client_id), self._encoded(released))])

    def withhold(self, gone: list[Flight], stubs: list[Flight], client_id: str) -> None:
        """Forget messages that their client is not to get, but for the packet ids of some: see `Flights`."""
        self.size += sum(stub.message.size for stub in stubs)
        standing = {stub.packet_id for stub in stubs}
        for flight in gone:
            if flight.packet_id in standing:
                self.size -= flight.message.size
            else:
                self.forget(flight, client_id)
        for stub in stubs:
            self.release(stub, client_id)

    def forget(self, flight: Flight, client_id: str) -> None:
        """Forget a message that is settled or dropped."""
        self.size -= flight.message.size
        self.disk.lazily(MESSAGES, records.key_of(flight, client_id), _nothing)

    def drop(self, flight: Flight) -> None:
        """Take a message back that the disk did not take."""
        self.size -= flight.message.size

    def _encoded(self, flight: Flight) -> bytes:
        expires_at = flight.message.expires_at
        return records.encode_flight(flight, self.disk.wall_of(expires_at) if expires_at else 0)

    # -- the clients' ids at QoS 2

    def taken(self, packet_id: int, client_id: str, reason: int) -> Entry:
        """Return what keeps that a message was taken, with the reason of its PUBREC."""
        return (TAKEN, records.taken_key(packet_id, client_id), bytes((reason,)))

    def forget_taken(self, packet_id: int, client_id: str) -> Ticket:
        """Forget an id; PUBCOMP waits for it, else the next message with it would be taken for the same."""
        return self.disk.keep([(TAKEN, records.taken_key(packet_id, client_id), None)])

    # -- sessions

    def session(self, subscriber: "Subscriber") -> Entry:
        """Return what keeps a session as it is now."""
        disk = self.disk
        record = SessionRecord(
            subscriber.sender.protocol,
            subscriber.sender.user,
            subscriber.expiry,
            subscriber.connection is not None,
            _wall(subscriber.expires_at, disk.wall_of),
            tuple(subscriber.filters.values()),
            subscriber.will,
            _wall(subscriber.will_at, disk.wall_of),
            subscriber.identity.badge,
            sent=subscriber.flights.last_sent if subscriber.flights is not None else 0,
        )
        return (SESSIONS, subscriber.sender.id, records.encode_session(record))

    def erase(self, client_id: str, flights: Flights) -> list[Entry]:
        """Return what forgets a session and all that it keeps."""
        taken = list(flights.received)
        messages = flights.clear()
        self.size -= sum(flight.message.size for flight in messages)
        entries: list[Entry] = [(SESSIONS, client_id, None)]
        entries += [(MESSAGES, records.key_of(flight, client_id), None) for flight in messages]
        entries += [(TAKEN, records.taken_key(packet_id, client_id), None) for packet_id in taken]
        return entries

    def load(self) -> list[Found]:
        """Return the sessions that the node kept when it ended, and forget what belongs to none."""
        disk = self.disk
        found: dict[str, Found] = {}
        waiting: dict[str, list[Flight]] = {}
        for client_id, value in disk.load(SESSIONS).items():
            record = records.decode_session(value)
            found[client_id] = (Sender(client_id, record.protocol, record.user), record, Flights())
        last = 0
        for key, value in disk.load(MESSAGES).items():
            client_id, flight, until = records.decode_flight(key, value)
            last = max(last, flight.seq)
            if client_id not in found:
                disk.lazily(MESSAGES, key, _nothing)
                continue
            flight.message.expires_at = disk.monotonic_of(until) if until else 0.0
            record = found[client_id][1]
            flight.sent = record.connected or flight.seq <= record.sent
            waiting.setdefault(client_id, []).append(flight)
            self.size += flight.message.size
        taken: dict[str, dict[int, int]] = {}
        for key, value in disk.load(TAKEN).items():
            _, packet_id, client_id = records.split_key(key)
            if client_id in found:
                taken.setdefault(client_id, {})[packet_id] = value[0]
            else:
                disk.lazily(TAKEN, key, _nothing)
        for client_id, (_, _, flights) in found.items():
            queue = sorted(waiting.get(client_id, ()), key=lambda flight: flight.seq)
            flights.restore(queue, taken.get(client_id, {}))
        self._places = count(last + 1)
        return list(found.values())

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1


def _nothing() -> None:
    """Be what is forgotten."""


def _wall(at: float, wall_of: Callable[[float], int]) -> int:
    return wall_of(at) if 0.0 < at < NEVER else 0
