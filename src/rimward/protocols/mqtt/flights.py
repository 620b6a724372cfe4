"""Messages above QoS 0 on their way to one client, as its session keeps them between connections."""

from collections import deque
from collections.abc import Callable, Iterable

from rimward.protocols.mqtt.outgoing import Outgoing

NO_MESSAGE = Outgoing(b"", b"", 0, retain=False)  # of a flight whose packet id is all that counts


class Flight:
    """One message on its way to one client."""

    __slots__ = ("message", "packet_id", "qos", "released", "retain", "sent", "seq")

    def __init__(self, message: Outgoing, qos: int, *, retain: bool, packet_id: int = 0) -> None:
        self.message: Outgoing = message
        self.qos: int = qos
        self.retain: bool = retain
        self.packet_id: int = packet_id  # 0: it gets one when it is sent
        self.seq: int = 0  # its place in the order of all that is kept on disk; 0: it is not kept there
        self.sent: bool = False  # perhaps the client has it: from now on it is marked as a duplicate
        self.released: bool = False  # at QoS 2: the client has it, and PUBREL is sent instead


class Flights:
    """What a session that outlives its connection owes its client, and the QoS 2 ids of both sides [4.1]."""

    __slots__ = ("inflight", "last_id", "numbered", "received", "size", "waiting")

    def __init__(self) -> None:
        self.inflight: dict[int, Flight] = {}  # sent and not settled, by packet id, in order
        self.waiting: deque[Flight] = deque()  # to be sent; those that were sent before are at its head
        self.numbered: dict[int, Flight] = {}  # with a packet id and not in flight, by that id
        self.received: dict[int, int] = {}  # QoS 2 ids of the client with the reason of their PUBREC
        self.size: int = 0  # bytes of all messages
        self.last_id: int = 0

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self.inflight) + len(self.numbered)

    @property
    def last_sent(self) -> int:
        """The last place of those that were sent."""
        sent = [flight.seq for flight in self.numbered.values() if flight.sent]
        return max(sent + [flight.seq for flight in self.inflight.values()], default=0)

    def number(self, flight: Flight) -> None:
        """Give a message its packet id, before anything of it leaves or is on disk."""
        packet_id = self.last_id
        while True:
            packet_id = packet_id % 0xFFFF + 1
            if packet_id not in self.inflight and packet_id not in self.numbered:
                break
        self.last_id = flight.packet_id = packet_id
        self.numbered[packet_id] = flight
        self.size += flight.message.size

    def restore(self, flights: Iterable[Flight], received: dict[int, int]) -> None:
        """Take up what was kept, in order; the packet ids are known."""
        for flight in flights:
            if flight.released:
                self.inflight[flight.packet_id] = flight
            else:
                self.numbered[flight.packet_id] = flight
                self.waiting.append(flight)
            self.size += flight.message.size
            self.last_id = flight.packet_id
        self.received.update(received)

    def drop(self, flight: Flight) -> None:
        """Forget a message that is not in flight."""
        if self.numbered.pop(flight.packet_id, None) is flight:
            self.size -= flight.message.size

    def holds(self, flight: Flight) -> bool:
        """Tell whether a message is here still."""
        packet_id = flight.packet_id
        return self.inflight.get(packet_id) is flight or self.numbered.get(packet_id) is flight

    def clear(self) -> list[Flight]:
        """Forget everything; return the messages."""
        flights = [*self.inflight.values(), *self.numbered.values()]
        self.inflight.clear()
        self.numbered.clear()
        self.waiting.clear()
        self.received.clear()
        self.size = 0
        return flights

    def oldest(self) -> Flight | None:
        """Take the first message out of the queue that no client has seen; None where there is none."""
        for flight in self.waiting:
            if not flight.sent:
                self.waiting.remove(flight)
                self.drop(flight)
                return flight
        return None

    def withhold(self, unwanted: Callable[[Outgoing], bool]) -> tuple[list[Flight], list[Flight]]:
        """Take what the client is not to get out of the queue; return it, and what stands for a part of it.

        Of what was sent at QoS 2 the client may have the packet id, and would take the next message with it
        for the same [4.3.3]: so that flow goes on to its end, released and without its message.
        """
        gone = [flight for flight in self.waiting if unwanted(flight.message)]
        if not gone:
            return [], []
        out = set(gone)
        left = [flight for flight in self.waiting if flight not in out]
        self.waiting.clear()
        self.waiting.extend(left)
        stubs: list[Flight] = []
        for flight in gone:
            self.drop(flight)
            if flight.qos == 2 and flight.sent:
                stub = Flight(NO_MESSAGE, 2, retain=False, packet_id=flight.packet_id)
                stub.seq, stub.sent, stub.released = flight.seq, True, True
                self.inflight[stub.packet_id] = stub
                self.size += stub.message.size
                stubs.append(stub)
        return gone, stubs

    def ground(self) -> None:
        """Put what was sent and not taken back to the head of the queue: the connection is over [4.4]."""
        again = [flight for flight in self.inflight.values() if not flight.released]
        for flight in again:
            del self.inflight[flight.packet_id]
            self.numbered[flight.packet_id] = flight
        self.waiting.extendleft(reversed(again))
