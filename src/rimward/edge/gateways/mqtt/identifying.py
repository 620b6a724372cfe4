"""Who a client is and what it may do, asked where a session, a route or a subscription is made.

A CONNECT whose password is hashed elsewhere waits, and so does everything that the client sends behind it.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

from rimward.edge.access import DENIALS, Access, Action, Credentials, Denial, DenialKind, Identity, Pending
from rimward.edge.dispatch.types import Refusal
from rimward.edge.gateways.mqtt.authenticating import Exchange, reason_of
from rimward.edge.gateways.peers import peer_of
from rimward.protocols.mqtt import Auth, Connect, Packet, Publish, Reason, ServerSession, Will
from rimward.protocols.mqtt.authentication import data_of
from rimward.protocols.mqtt.subscriptions import Delivery

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.broker import Broker
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.gate import Gate
    from rimward.edge.gateways.mqtt.routes import Route
    from rimward.edge.gateways.mqtt.subscriber import Subscriber

ALLOWED_CACHED = 64  # topics of one connection that are known to be allowed; beyond it the memory starts anew


class KnownRoutes(Protocol):
    """Topics to which a connection may publish without a further question."""

    def get(self, topic: str, /) -> "Route | None":
        """Return a topic's route, None where it is not known or has to be asked for."""
        ...


NO_ROUTES: "dict[str, Route]" = {}  # of a client that is not let in yet


class AllowedRoutes:
    """The routes of an identity that may not publish everywhere: those that it has asked for before."""

    __slots__ = ("_allowed", "_broker")

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker
        self._allowed: set[str] = set()

    def get(self, topic: str, /) -> "Route | None":
        """Return a route that is known and allowed."""
        return self._broker.routes.get(topic) if topic in self._allowed else None

    def allow(self, topic: str) -> None:
        """Remember that a topic is allowed."""
        if len(self._allowed) >= ALLOWED_CACHED:
            self._allowed.clear()
        self._allowed.add(topic)


def routes_of(identity: Identity, broker: "Broker") -> KnownRoutes:
    """Return what a connection of an identity may publish to at once."""
    return broker.routes if identity.free else AllowedRoutes(broker)


def let_in(
    answer: Identity | Denial, will: Will | None, session: ServerSession, access: Access
) -> Identity | None:
    """Return who may have a session; None where nobody, which the session then says."""
    if isinstance(answer, Denial):
        session.fail(Reason(DENIALS[answer.kind].mqtt5), answer.detail)
        return None
    if answer.grants is None:
        return answer
    if answer.anonymous and not answer.grants.speaks_mqtt:
        session.fail(Reason(DENIALS[DenialKind.CREDENTIALS].mqtt5), "credentials are needed here")
        return None
    if will is not None and (why := access.may(answer, Action.PUBLISH, will.topic)) is not None:
        session.fail(Reason.NOT_AUTHORIZED, f"the will: {why}")
        return None
    return answer


def publish_refusal(
    access: Access, subscriber: "Subscriber | None", topic: str, routes: KnownRoutes
) -> Refusal | None:
    """Return why a client may not publish to a topic; what it may is remembered."""
    if subscriber is None or subscriber.identity.free:
        return None
    why = access.may(subscriber.identity, Action.PUBLISH, topic)
    if why is not None:
        return Refusal("denied", why)
    if isinstance(routes, AllowedRoutes):
        routes.allow(topic)
    return None


def permitted(
    deliveries: "tuple[Delivery[Subscriber], ...]", topic: str
) -> "tuple[Delivery[Subscriber], ...]":
    """Return those of a topic's deliveries whose identities may receive from it."""
    if all(one.subscriber.identity.free for one in deliveries):
        return deliveries
    return tuple([one for one in deliveries if may_receive(one.subscriber, topic)])


def may_receive(subscriber: "Subscriber", topic: str) -> bool:
    """Tell whether a subscriber's identity may receive from a topic."""
    identity = subscriber.identity
    return identity.free or identity.may(Action.RECEIVE, topic) is None


def farewell(denial: Denial) -> Reason:
    """Return the reason for which an identity that is no longer good is sent away."""
    expired = denial.kind is DenialKind.EXPIRED
    return Reason.MAXIMUM_CONNECT_TIME if expired else Reason.ADMINISTRATIVE_ACTION


class Entry:
    """A client at the door: its CONNECT waits for an answer, and what it sends meanwhile for a session."""

    __slots__ = ("_connect", "_connection", "_deadline", "_exchange", "_gate", "_pending", "packets")

    def __init__(self, connection: "Connection", packet: Connect, gate: "Gate") -> None:
        self._connection = connection
        self._connect = packet
        self._gate = gate
        self._deadline = connection.session.last_packet + gate.config.connect_timeout  # monotonic seconds
        self._pending: Pending | None = None
        self._exchange: Exchange | None = None
        self.packets: list[Packet] = []  # at most one read: then reading is paused

    def begin(self, transport: asyncio.Transport | None) -> None:
        """Ask who the client is; reading is paused until that is known."""
        packet, connection, peer = self._connect, self._connection, peer_of(transport)
        if not self._gate.welcome(connection, peer.address):
            connection.entry = None
            return
        if connection.session.method is not None:
            self._exchange = Exchange(self._gate.access, peer, packet.client_id)
            self._step(data_of(packet))
            return
        credentials = Credentials(peer, packet.client_id, packet.username, packet.password)
        self._pending = self._gate.access.identify(credentials, self._answered)
        if self._pending is not None:
            connection.listen(again=False)

    def heard(self, packet: Packet) -> None:
        """Take what the client sends before it is let in."""
        if isinstance(packet, Auth):
            self._step(data_of(packet))
        else:
            self.packets.append(packet)

    def _step(self, data: bytes) -> None:
        """Go on with an enhanced authentication."""
        session, exchange = self._connection.session, self._exchange
        assert exchange is not None
        found = exchange.step(data)
        if isinstance(found, bytes):
            session.challenge(found)
        elif isinstance(found, Denial):
            self._gate.count("auth_failures")
            session.fail(reason_of(found), found.detail)
        else:
            session.proof = found.proof
            self._answered(found.identity)

    def cancel(self) -> None:
        """Give up: the client has gone."""
        if self._pending is not None:
            self._pending.cancel()

    def check(self, now: float) -> None:
        """End a connection that has waited for longer than it may take to CONNECT."""
        connection = self._connection
        if now >= self._deadline:
            connection.session.fail(Reason.SERVER_BUSY, "the credentials could not be checked in time")
            connection.leave()
        else:
            self._gate.watch(connection, self._deadline)

    def _answered(self, answer: Identity | Denial) -> None:
        connection, packet, gate = self._connection, self._connect, self._gate
        identity = let_in(answer, packet.will, connection.session, gate.access)
        if identity is None:
            gate.count("auth_failures")
        elif (subscriber := gate.admit(connection, packet, identity)) is not None:
            connection.admitted(subscriber, "" if packet.client_id else subscriber.sender.id)
        connection.entry = None
        if self._pending is not None:
            connection.listen(again=True)
            self._take_up()

    def _take_up(self) -> None:
        """Answer what has come meanwhile."""
        connection, now = self._connection, self._gate.clock()
        try:
            for packet in self.packets:
                if connection.session.closed:
                    break
                if type(packet) is Publish:
                    connection._arrive_in_order(packet, now)
                else:
                    connection._answer(packet, now * 1e-9)
        except Exception as error:  # noqa: BLE001 (as in data_received: one broken message ends one connection)
            connection._broken(error)
        connection.mark()
        self._gate.flush_soon()
