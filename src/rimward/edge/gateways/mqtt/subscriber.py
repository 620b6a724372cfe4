"""Who gets messages: a client with its session, which may outlive its connection."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rimward.edge.access import Identity
from rimward.edge.dispatch.types import Sender, Ticket
from rimward.edge.gateways.mqtt.store import NEVER, Store
from rimward.protocols.mqtt.away import Away
from rimward.protocols.mqtt.flights import Flight, Flights
from rimward.protocols.mqtt.outgoing import Outgoing
from rimward.protocols.mqtt.sending import Sending

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.protocols.mqtt import Subscription, Will


class Terms(NamedTuple):
    """How a session ends, as its last connection left it."""

    expiry: int
    expires_at: float
    will: "Will | None"
    will_at: float


class Subscriber:
    """A client's session at the node. Subscriptions belong to it, and messages go to its `session`."""

    __slots__ = (
        "away",
        "before",
        "check_at",
        "connection",
        "ended",
        "expires_at",
        "expiry",
        "filters",
        "flights",
        "identity",
        "sender",
        "session",
        "store",
        "will",
        "will_at",
    )

    def __init__(
        self,
        sender: Sender,
        identity: Identity,
        store: Store,
        away: Away,
        flights: Flights | None = None,
    ) -> None:
        """`flights` are what it keeps where it outlives its connection."""
        self.sender: Sender = sender
        self.identity: Identity = identity  # whom it belongs to; a reload of the access file renews it
        self.connection: Connection | None = None
        self.session: Sending = away  # where its messages go now
        self.filters: dict[str, Subscription] = {}  # its subscriptions
        self.flights: Flights | None = flights
        self.will: Will | None = None
        self.will_at: float = NEVER  # monotonic seconds at which a delayed will is due
        self.expiry: int = 0  # seconds after its connection
        self.expires_at: float = NEVER  # monotonic seconds; of one that is connected it does not
        self.before: Terms | None = None  # what it falls back to if the CONNECT that is under way fails
        self.ended: bool = False
        self.check_at: int = 0
        self.store: Store = store
        self.away: Away = away

    @property
    def kept(self) -> bool:
        """Whether it outlives its connection, and messages above QoS 0 are on disk before they are sent."""
        return self.flights is not None

    # -- messages

    @property
    def has_window(self) -> bool:
        """Whether one more message above QoS 0 leaves soon; those that can wait elsewhere then should not."""
        crowded = self.flights is not None and 2 * self.flights.count >= self.store.max_queue
        return self.session.has_window and not crowded

    def reserve(self, message: Outgoing, qos: int, *, retain: bool, place: int) -> Flight | None:
        """Take on a message that is to be on disk first; None: dropped and counted.

        `take` sends it when the disk has it, `drop` takes it back.
        """
        flights = self.flights
        if flights is None or self.ended or not self.store.has_room(flights, message, self.sender.id):
            return None
        flight = Flight(message, qos, retain=retain)
        flight.seq = place
        flights.number(flight)
        return flight

    def take(self, flight: Flight, now: float) -> None:
        """Send a message that is on disk, or queue it for the client."""
        if self.flights is None or self.ended:
            return
        if self.session is self.away:
            self.flights.waiting.append(flight)
        else:
            self.session.take(flight, now)
            self.settle()

    def drop(self, flight: Flight) -> None:
        """Take a message back that the disk did not take."""
        if self.flights is not None and not self.ended:
            self.flights.drop(flight)
            self.store.drop(flight)

    def deliver(self, message: Outgoing, qos: int, now: float, *, retain: bool) -> bool:
        """Send a message that nobody was promised, or queue it; False: dropped and counted.

        At QoS 1 it leaves at once and is kept lazily. At QoS 2 it leaves when the disk has it: a packet id
        that only the client remembers would hide another message.
        """
        if not qos or self.flights is None:
            return self.session.deliver(message, qos, now, retain=retain)
        flight = self.reserve(message, qos, retain=retain, place=self.store.next_place())
        if flight is None:
            return False
        if qos == 1:
            self.store.keep_lazily(flight, self.flights, self.sender.id)
            self.take(flight, now)
            return True
        ticket = self.store.disk.keep([self.store.entry(flight, self.sender.id)])

        def done(ticket: Ticket) -> None:
            if ticket.refusal is not None:
                self.drop(flight)
                return
            self.take(flight, now)
            if self.connection is not None:
                self.connection.wake()

        if ticket.done:
            done(ticket)
        else:
            ticket.on_done = done
        return True

    @property
    def waiting(self) -> int:
        """How many messages above QoS 0 wait to be sent."""
        return len(self.flights.waiting) if self.flights is not None else self.session.queued

    def withhold(self, unwanted: Callable[[Outgoing], bool]) -> list[Flight]:
        """Drop what waits and is not to be sent, from disk too; return it."""
        if self.flights is None:
            return self.session.withhold(unwanted)
        gone, stubs = self.flights.withhold(unwanted)
        self.store.withhold(gone, stubs, self.sender.id)
        if self.connection is not None and self.session is not self.away and not self.session.closed:
            for stub in stubs:
                self.session.release(stub.packet_id)
            self.connection.wake()
        return gone

    def settle(self) -> None:
        """Forget on disk what is over."""
        settled = self.session.settled
        for flight in settled:
            self.store.forget(flight, self.sender.id)
        settled.clear()
