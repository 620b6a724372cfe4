"""Who has a session at the node: it begins, goes from connection to connection, and ends.

A session that outlives its connection is a `Subscriber` with `flights`; its entry on disk is written before
CONNACK. Wills that are delayed wait here, over restarts too [5: 3.1.3.2.2].
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rimward.edge.access import Access, Denial, Identity
from rimward.edge.dispatch.types import Entry, Sender, Ticket
from rimward.edge.gateways.mqtt.broker import Broker
from rimward.edge.gateways.mqtt.reviewing import review
from rimward.edge.gateways.mqtt.store import NEVER, Found, Store
from rimward.edge.gateways.mqtt.subscriber import Subscriber, Terms
from rimward.edge.gateways.mqtt.wheel import Wheel
from rimward.protocols.mqtt import Connect, Reason, Will
from rimward.protocols.mqtt.admission import FOR_EVER
from rimward.protocols.mqtt.away import Away
from rimward.protocols.mqtt.flights import Flight, Flights

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.config import MqttConfig
    from rimward.edge.gateways.mqtt.connection import Connection

PublishWill = Callable[[Subscriber, Will, "Connection | None"], None]


class Opening(NamedTuple):
    """A session that a CONNECT has begun or taken up."""

    subscriber: Subscriber
    present: bool  # it was there before
    ticket: Ticket | None  # CONNACK waits for it


class Sessions:
    """Every session of a node, by client id."""

    def __init__(
        self,
        broker: Broker,
        access: Access,
        config: "MqttConfig",
        counters: dict[str, int],
        publish_will: PublishWill,
    ) -> None:
        self.connected: int = 0
        self._broker = broker
        self._access = access
        self._store: Store = broker.store
        self._config = config
        self._counters = counters
        self._publish_will = publish_will
        self._away = Away(config.session_limits(), counters)
        self._all: dict[str, Subscriber] = {}
        self._kept = 0  # that outlive their connections
        self._wheel: Wheel[Subscriber] = Wheel()

    def load(self, now: float) -> None:
        """Take up the sessions that the node kept, as if their connections had ended now."""
        disk = self._store.disk
        for found in self._store.load():
            record = found[1]
            subscriber = self._restored(found)
            if subscriber is None:
                continue
            if record.connected:
                self._put_away(subscriber, now)
            else:
                subscriber.expires_at = disk.monotonic_of(record.until) if record.until else NEVER
                subscriber.will_at = disk.monotonic_of(record.will_at) if record.will_at else NEVER
            self._watch(subscriber)
        for subscriber in self.all():  # when all are there: what one may not have can go to another
            review(subscriber, self._broker, now)
        self.look(now)

    def _restored(self, found: Found) -> Subscriber | None:
        """Take up a session; None where the access file does not know its identity any more."""
        sender, record, flights = found
        identity = self._access.restored(record.badge)
        if isinstance(identity, Denial):
            self._count("identities_ended")
            self._store.disk.keep(self._store.erase(sender.id, flights))
            return None
        subscriber = self._all[sender.id] = Subscriber(sender, identity, self._store, self._away, flights)
        self._kept += 1
        subscriber.expiry, subscriber.will = record.expiry, record.will
        for wish in record.subscriptions:
            self._broker.subscribe(subscriber, wish)
        return subscriber

    def get(self, client_id: str) -> Subscriber | None:
        """Return a client's session, connected or not."""
        return self._all.get(client_id)

    def all(self) -> list[Subscriber]:
        """Return every session, connected or not."""
        return list(self._all.values())

    def end(self, subscriber: Subscriber, now: float) -> None:
        """End a session whose identity is not good any more; its will is not its to leave."""
        subscriber.will = None
        if not subscriber.ended:
            self._forget(subscriber, now, [])

    def stats(self) -> dict[str, int]:
        """Return how many there are, and what they keep."""
        return {
            "clients": self.connected,
            "sessions": len(self._all),
            "sessions_kept": self._kept,
            "queued_bytes": self._store.size,
        }

    # -- from connection to connection

    def open(self, connection: "Connection", packet: Connect, sender: Sender, identity: Identity) -> Opening:
        """Begin a session or take it up; a connection that has it goes [3.1.3.1, 3.1.4]."""
        known = self._all.get(sender.id)
        if known is not None and known.connection is not None:
            self._count("takeovers")
            known.connection.session.fail(Reason.SESSION_TAKEN_OVER, "another connection has this client id")
            known.connection.leave()
            known = self._all.get(sender.id)
        entries: list[Entry] = []
        if known is not None and (packet.clean_start or known.expires_at <= connection.now):
            entries = self._end(known, connection.now, [])
            known = None
        subscriber = known or self._begin(connection, sender, identity)
        subscriber.before = None
        if known is not None:
            subscriber.before = Terms(known.expiry, known.expires_at, known.will, known.will_at)
        session = connection.session
        subscriber.sender, subscriber.connection, subscriber.expiry = sender, connection, session.expiry
        subscriber.identity = identity
        subscriber.expires_at = subscriber.will_at = NEVER
        subscriber.will = packet.will
        self._wheel.remove(subscriber)
        self.connected += 1
        if subscriber.flights is not None:
            entries.append(self._store.session(subscriber))
        return Opening(subscriber, known is not None, self._store.disk.keep(entries) if entries else None)

    def _begin(self, connection: "Connection", sender: Sender, identity: Identity) -> Subscriber:
        session = connection.session
        if session.expiry and self._kept >= self._config.max_sessions:
            self._count("sessions_not_kept")
            session.expiry = 0
        flights = Flights() if session.expiry else None
        self._kept += flights is not None
        subscriber = self._all[sender.id] = Subscriber(sender, identity, self._store, self._away, flights)
        return subscriber

    def left(self, subscriber: Subscriber, connection: "Connection", *, will: str) -> None:
        """Keep or end the session of a connection that is over.

        `will` is "sent" or "withdrawn"; or "held", where the node stops: then only a delayed one stays.
        """
        if subscriber.connection is not connection:
            return
        self.connected -= 1
        subscriber.connection, subscriber.session = None, subscriber.away
        if not connection.session.accepted:
            self._fall_back(subscriber, connection.now)
            return
        subscriber.expiry = connection.session.expiry
        if will == "withdrawn":
            subscriber.will = None
        now, at_once = connection.now, subscriber.will
        if subscriber.flights is None or not subscriber.expiry:
            subscriber.will = None
            self._forget(subscriber, now, connection.session.unfinished)
        else:
            self._put_away(subscriber, now)
            if subscriber.will_at <= now:
                subscriber.will, subscriber.will_at = None, NEVER
            else:
                at_once = None
            self._watch(subscriber)
            self._store.disk.keep([self._store.session(subscriber)])
        if at_once is not None and will == "sent":
            self._publish_will(subscriber, at_once, connection)

    def _fall_back(self, subscriber: Subscriber, now: float) -> None:
        """Leave a session as it was before a CONNECT that failed; end one that began with it."""
        before = subscriber.before
        if before is None:
            subscriber.will = None
            self._forget(subscriber, now, [])
            return
        subscriber.expiry, subscriber.expires_at, subscriber.will, subscriber.will_at = before
        self._watch(subscriber)
        self._store.disk.keep([self._store.session(subscriber)])

    def _put_away(self, subscriber: Subscriber, now: float) -> None:
        """Let the times run that begin with the end of a connection."""
        if subscriber.flights is not None:
            subscriber.flights.ground()
        expiry = subscriber.expiry
        subscriber.expires_at = NEVER if expiry == FOR_EVER else now + expiry
        if (will := subscriber.will) is not None:
            delay = will.properties.will_delay if will.properties is not None else None
            subscriber.will_at = min(now + (delay or 0), subscriber.expires_at)

    # -- time

    @property
    def look_at(self) -> float | None:
        """Monotonic seconds at which `look` has something to do; None is never."""
        return self._wheel.next_at

    def look(self, now: float) -> None:
        """Send the wills that are due, and end what has expired."""
        for subscriber in self._wheel.due(now):
            if subscriber.connection is not None or subscriber.ended:
                continue
            if subscriber.expires_at <= now:
                self._count("sessions_expired")
                self._forget(subscriber, now, [])
                continue
            if subscriber.will_at <= now:
                will, subscriber.will, subscriber.will_at = subscriber.will, None, NEVER
                if will is not None:
                    self._publish_will(subscriber, will, None)
                self._store.disk.keep([self._store.session(subscriber)])
            self._watch(subscriber)

    def _watch(self, subscriber: Subscriber) -> None:
        at = min(subscriber.will_at, subscriber.expires_at)
        if at < NEVER:
            self._wheel.add(subscriber, at)

    # -- the end

    def _forget(self, subscriber: Subscriber, now: float, left: list[Flight]) -> None:
        entries = self._end(subscriber, now, left)
        if entries:
            self._store.disk.keep(entries)

    def _end(self, subscriber: Subscriber, now: float, left: list[Flight]) -> list[Entry]:
        """End a session; return what forgets it on disk. A will that waits is sent now [3.1.3.2.2].

        `left` is what its connection had not acknowledged, where it keeps nothing itself.
        """
        for topic_filter in list(subscriber.filters):
            self._broker.unsubscribe(subscriber, topic_filter)
        self._broker.replays.forget(subscriber)
        self._wheel.remove(subscriber)
        subscriber.ended = True
        client_id, flights = subscriber.sender.id, subscriber.flights
        if flights is not None:
            left = [*flights.inflight.values(), *flights.waiting]
        entries = self._broker.hand_on(left, now)
        if self._all.get(client_id) is subscriber:
            del self._all[client_id]
        if (will := subscriber.will) is not None:
            subscriber.will = None
            self._publish_will(subscriber, will, None)
        if flights is None:
            return entries
        self._kept -= 1
        return entries + self._store.erase(client_id, flights)

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1
