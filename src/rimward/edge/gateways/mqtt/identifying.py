"""Who a client is and what it may do, asked where a session, a route or a subscription is made.

A topic that was allowed once is remembered by its connection; deliveries are looked at when a route is made.
"""

from typing import TYPE_CHECKING, Protocol

from rimward.edge.access import DENIALS, Access, Action, Denial, DenialKind, Identity
from rimward.edge.dispatch.types import Refusal
from rimward.protocols.mqtt import Reason, ServerSession, Will
from rimward.protocols.mqtt.subscriptions import Delivery

if TYPE_CHECKING:
    from rimward.edge.gateways.mqtt.broker import Broker
    from rimward.edge.gateways.mqtt.connection import Connection
    from rimward.edge.gateways.mqtt.routes import Route
    from rimward.edge.gateways.mqtt.subscriber import Subscriber

ALLOWED_CACHED = 64  # topics of one connection that are known to be allowed; beyond it the memory starts anew
NO_ROUTES: "dict[str, Route]" = {}  # of a client that is not let in yet


class KnownRoutes(Protocol):
    """Topics to which a connection may publish without a further question."""

    def get(self, topic: str, /) -> "Route | None":
        """Return a topic's route, None where it is not known or has to be asked for."""
        ...


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


def publish_refusal(connection: "Connection", access: Access, topic: str) -> Refusal | None:
    """Return why a client may not publish to a topic; what it may is remembered."""
    subscriber = connection.subscriber
    if subscriber is None or subscriber.identity.free:
        return None
    why = access.may(subscriber.identity, Action.PUBLISH, topic)
    if why is not None:
        return Refusal("denied", why)
    if isinstance(connection.routes, AllowedRoutes):
        connection.routes.allow(topic)
    return None


def may_reply_to(subscriber: "Subscriber | None", topic: str) -> bool:
    """Tell whether a reply may go where its asker has it: else anybody could have the node write anywhere."""
    if subscriber is None or may_receive(subscriber, topic):
        return True
    return subscriber.identity.may(Action.PUBLISH, topic) is None


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
