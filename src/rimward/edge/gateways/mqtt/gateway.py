"""The MQTT gateway of a node: it listens, knows who is connected, and carries actions to them."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from rimward.app.effects import Action, EventPayload
from rimward.edge.access import Access, Denial, Identity
from rimward.edge.dispatch.types import PlainDoor, Sender, Ticket
from rimward.edge.gateways.descriptors import allowed
from rimward.edge.gateways.mqtt.broker import Broker
from rimward.edge.gateways.mqtt.commanding import send_command, why_not
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.connection import Connection
from rimward.edge.gateways.mqtt.disk import Disk
from rimward.edge.gateways.mqtt.events import outgoing_event
from rimward.edge.gateways.mqtt.figures import Figures
from rimward.edge.gateways.mqtt.floods import Floods
from rimward.edge.gateways.mqtt.identifying import farewell
from rimward.edge.gateways.mqtt.rates import Rates
from rimward.edge.gateways.mqtt.reviewing import review
from rimward.edge.gateways.mqtt.routes import Route
from rimward.edge.gateways.mqtt.sessions import Sessions
from rimward.edge.gateways.mqtt.store import Store
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.edge.gateways.mqtt.wheel import Wheel
from rimward.edge.gateways.overload import Overload
from rimward.edge.gateways.turns import Turns
from rimward.observe import Logger, get_logger
from rimward.protocols.mqtt import Connect, Reason, SessionLimits, Will
from rimward.protocols.mqtt.outgoing import Outgoing
from rimward.protocols.scram import METHOD
from rimward_supervisor.listeners import bequeath

log: Logger = get_logger("rimward.mqtt")

SWEEP = 1.0  # seconds between two looks at the deadlines
SHARE = 0.75  # of the process's file descriptors that devices may take
SPARE = 32  # connections beyond the limit that are still told so; more are cut off
OnDead = Callable[[str, str, Sender, str, bytes], Ticket]  # reason, detail, sender, topic, payload
SLICE = 256  # identities that are renewed in one turn of the loop, or less where much waits for them
LOOKED_AT = 4096  # messages that wait for them, likewise


class MqttGateway:
    """Ends the devices' MQTT, hands their messages to the door and carries actions back: a `Router`."""

    def __init__(  # noqa: PLR0913 (the node wires every seam by name)
        self,
        door: PlainDoor,
        *,
        clock: Callable[[], int],
        config: MqttConfig,
        disk: Disk,
        on_dead: OnDead,
        access: Access | None = None,
        priority: Callable[[str], str] = lambda _: "normal",
        fill: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`clock` is monotonic ns. Without `access` everyone may connect and nobody has a user name.

        `priority` names the class of a topic, `fill` says how full the outbox is, from 0 to 1.
        """
        self.door = door
        self.clock = clock
        self.config = config
        self.access: Access = access or Access(None, clock)
        self.access.changed.append(self.renew)
        self._book = self.access.book
        self.limits: SessionLimits = config.session_limits(() if self.access.open else (METHOD,))
        self.topics: dict[bytes, str] = {}
        self.counters: dict[str, int] = {}
        self.on_dead = on_dead
        self.broker: Broker = Broker(config, Store(disk, config, self.counters), self.counters)
        self.sessions: Sessions = Sessions(
            self.broker, self.access, config, self.counters, self._publish_will
        )
        now = clock() * 1e-9
        self._rates = Rates(config.rates, priority, now) if config.rates.limits else None
        self.overload: Overload = Overload(config.overload, fill)
        self.broker.table.shed = lambda topic: self.overload.refuses(priority(topic))
        self._look_due = 0.0  # by the loop's clock
        self.floods: Floods = Floods(config, self.counters, now)
        self._figures = Figures(self.broker, self.stats, config.figures_interval, now)
        self.reading = False  # a read's own end sees to the output
        self.unwritten = 0
        self.packets_in = 0
        self.packets_out = 0
        self._disk = disk
        self._connections: set[Connection] = set()
        self._wheel: Wheel[Connection] = Wheel()
        self._assigned_prefix = f"auto-{os.urandom(4).hex()}-"
        self._assigned = 0
        self._server: asyncio.Server | None = None
        self._loop: Turns | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._flush_scheduled = False
        self._empty = asyncio.Event()
        self._max_connections = config.max_connections

    # -- lifecycle

    def begin(self, loop: Turns) -> None:
        """Take up what was kept; from now on output is written when a turn of the loop is over."""
        self.broker.load_retained(self._disk.load_retained())
        self._figures.look(self.clock() * 1e-9)
        self._loop = loop
        self.sessions.load(self.clock() * 1e-9)

    def open(self) -> None:
        """Take connections, which `connection` makes the protocol of."""
        loop = asyncio.get_running_loop()
        self._max_connections = allowed(self.config.max_connections, SHARE)
        if self._max_connections < self.config.max_connections:
            log.warning("file descriptors limit the connections", connections=self._max_connections)
        self.begin(loop)
        self._look_due = loop.time() + SWEEP
        self._sweep = loop.call_later(SWEEP, self._look_again, loop)

    def connection(self) -> Connection:
        """Return the protocol of one more connection, over whatever transport."""
        connection = Connection(self)
        if self._rates is not None:
            self._rates.limit(connection, self)
        return connection

    async def serve(self, sock: socket.socket) -> None:
        """Open, and listen on a bound socket."""
        self.open()
        bequeath(sock)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connection, sock=sock, backlog=1024)

    async def close(self, drain: float) -> None:
        """Stop listening, say goodbye to everyone and wait up to `drain` seconds for them to hang up."""
        if self._server is not None:
            self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        reason = Reason.USE_ANOTHER_SERVER if self.config.server_reference else Reason.SERVER_SHUTTING_DOWN
        for connection in list(self._connections):
            connection.session.fail(reason, "the node stops")
            connection.leave(with_will=False)
        if self._connections:
            self._empty.clear()
            try:
                async with asyncio.timeout(drain):
                    await self._empty.wait()
            except TimeoutError:
                await self._abort()

    async def _abort(self) -> None:
        for connection in list(self._connections):
            connection.abort()
        async with asyncio.timeout(SWEEP):
            await self._empty.wait()

    @property
    def look_at(self) -> float | None:
        """Monotonic seconds at which `look` has something to do; None is never."""
        moments = [at for at in (self._wheel.next_at, self.sessions.look_at) if at is not None]
        return min(moments, default=None)

    def look(self) -> None:
        """Check the connections whose deadlines may have come."""
        now = self.clock() * 1e-9
        for connection in self._wheel.due(now):
            connection.check(now)
        self.sessions.look(now)
        self._figures.look(now)
        self.flush()

    def weigh(self, lag: float) -> None:
        """Refuse classes, or admit them again, by the seconds that the loop is late."""
        if self.overload.look(lag, self.clock() * 1e-9):
            log.warning("the node refuses the lower classes", classes=self.overload.level)
            self.broker.table.forget_all()

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.weigh(loop.time() - self._look_due)
        self._look_due: float = loop.time() + SWEEP
        self._sweep = loop.call_later(SWEEP, self._look_again, loop)
        self.look()

    # -- router

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        *,
        retain: bool,
    ) -> int:
        """Queue a message to every subscriber and return how many there were. Never blocks."""
        broker = self.broker
        route = broker.routes.get(topic)
        if route is None or retain or type(payload) is not bytes:
            return self._publish_more(broker.route(topic), payload, qos, retain=retain)
        count = broker.send(route, payload, qos) if route.deliveries else 0
        if not self.reading:
            self.flush_soon()
        return count

    def publish_all(self, actions: Sequence[Action]) -> None:
        """Queue what one call publishes. Never blocks."""
        broker = self.broker
        for topic, payload, qos, retain in actions:
            route = broker.routes.get(topic)
            if route is None or retain or type(payload) is not bytes:
                self._publish_more(broker.route(topic), payload, qos, retain=retain)
            elif route.deliveries:
                broker.send(route, payload, qos)
        if not self.reading:
            self.flush_soon()

    def _publish_more(self, route: Route, payload: bytes, qos: int, *, retain: bool) -> int:
        """Queue a message that has more to it, or that can't be published."""
        if route.problem is not None:
            self.count("actions_refused")
            log.warning("an action's topic can't be published to", problem=route.problem)
            return 0
        if isinstance(payload, EventPayload):
            outgoing = outgoing_event(route.head, payload.event, min(qos, 1), retain=retain)
        else:
            outgoing = Outgoing(route.head, payload, min(qos, 1), retain=retain)
        count = self.broker.send_outgoing(route, outgoing, self.clock() * 1e-9)
        if retain:
            self._retain(route.topic, outgoing)
        self.flush_soon()
        return count

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Queue a command for one device; return why it can't take it. Never blocks."""
        subscriber = self.sessions.get(device)
        if subscriber is None or subscriber.connection is None:
            return "it is not connected"
        why = send_command(self.broker, subscriber, name, payload, number)
        if why is None:
            self.flush_soon()
        return why

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        subscriber = self.sessions.get(device)
        if subscriber is None or subscriber.connection is None:
            return "it is not connected"
        return why_not(self.broker, subscriber, name)

    def flush(self) -> None:
        """Write the joined output of every session that has some."""
        broker = self.broker
        self.unwritten: int = 0
        while broker.dirty:
            dirty = broker.dirty
            broker.dirty = []
            for connection in dirty:
                connection.write()

    def flush_soon(self) -> None:
        """Write all output when this turn of the loop is over; a read asks for it at its end."""
        if not self.reading and not self._flush_scheduled and self._loop is not None:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def _retain(self, topic: str, outgoing: Outgoing) -> None:
        refusal = self.broker.no_room(topic, outgoing)
        if (entry := self.broker.retain(topic, outgoing)) is not None:
            self._disk.keep([entry])
        elif refusal is not None:
            log.warning("an action is not retained", reason=refusal.detail)

    def stats(self) -> dict[str, int]:
        """Return the gateway's figures."""
        return {
            **self.counters,
            "connections": len(self._connections),
            **self.sessions.stats(),
            "subscriptions": self.broker.table.subscription_count,
            "subscription_bytes": self.broker.table.subscription_bytes,
            "retained": self.broker.retained_count,
            "shared_subscriptions": self.broker.table.shared_count,
            "classes_refused": self.overload.level,
            "connections_unannounced": self.floods.unannounced,
            "packets_in": self.packets_in,
            "packets_out": self.packets_out,
        }

    # -- what connections ask for

    def opened(self, connection: Connection) -> bool:
        """Count a connection in; False where there is no room even to say so."""
        if len(self._connections) >= self._max_connections + SPARE:
            self.count("connections_cut")
            return False
        self._connections.add(connection)
        self.floods.opened(connection)
        self.count("connections_total")
        return True

    def welcome(self, connection: Connection) -> bool:
        """Hear a client's CONNECT before anything is asked; False where it is refused for what it costs."""
        self.floods.over(connection)
        session, reference = connection.session, self.config.server_reference
        if self.config.server_moved:
            session.fail(Reason.SERVER_MOVED, f"use {reference} from now on")
        elif len(self._connections) > self._max_connections:
            reason = Reason.USE_ANOTHER_SERVER if reference else Reason.SERVER_BUSY
            session.fail(reason, f"{self._max_connections} clients are connected, the limit")
        elif (why := self.floods.refuse(connection, self.clock() * 1e-9)) is not None:
            session.fail(Reason.CONNECTION_RATE_EXCEEDED, why)
        return not session.closed

    def admit(self, connection: Connection, packet: Connect, identity: Identity) -> Sender | None:
        """Name the sender of a new session; None where it is refused, which the session then says."""
        session = connection.session
        client_id = packet.client_id or identity.id or self._assign()
        known = self.sessions.get(client_id)
        if known is not None and not identity.may_take_over(known.identity):
            self.count("auth_failures")
            session.fail(Reason.NOT_AUTHORIZED, "the session belongs to another identity")
            return None
        return Sender(client_id, "mqtt5" if packet.version == 5 else "mqtt3", identity.user)

    def renew(self) -> None:
        """Hold every session to the access file as it is now; those that are not good any more end."""
        self.broker.table.forget_all()
        fresh, self._book = self.access.book is not self._book, self.access.book
        self._renew(self.sessions.all(), fresh=fresh)

    def _renew(self, subscribers: list[Subscriber], *, fresh: bool) -> None:
        """Renew the first of some; `fresh` tells that what they may receive can have changed."""
        done = looked = 0
        for subscriber in subscribers[:SLICE]:
            if looked >= LOOKED_AT:
                break
            done += 1
            renewed = self.access.renew(subscriber.identity)
            connection = subscriber.connection
            if not isinstance(renewed, Denial):
                subscriber.identity = renewed
                if connection is not None:
                    connection.forget_allowed()
                if fresh:
                    looked += review(subscriber, self.broker, self.clock() * 1e-9)
            elif not subscriber.ended:
                self.count("identities_ended")
                if connection is not None:
                    connection.session.fail(farewell(renewed), renewed.detail)
                    connection.leave(with_will=False)
                self.sessions.end(subscriber, self.clock() * 1e-9)
        self.broker.table.forget_all()
        if len(subscribers) > done and self._loop is not None:
            self._loop.call_soon(lambda: self._renew(subscribers[done:], fresh=fresh))

    def watch(self, connection: Connection, deadline: float) -> None:
        """Look at a connection again at a time in monotonic seconds."""
        self._wheel.add(connection, deadline)

    def lost(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self.floods.over(connection)
        self._wheel.remove(connection)
        if not self._connections:
            self._empty.set()

    def _publish_will(self, subscriber: Subscriber, will: Will, connection: Connection | None) -> None:
        """Publish a will behind all that its connection has sent, if that has just ended."""
        self.count("wills")
        if connection is None:
            connection = Connection.gone(self, subscriber)
        connection.publish_will(will)

    def _assign(self) -> str:
        self._assigned += 1
        return f"{self._assigned_prefix}{self._assigned:x}"

    def count(self, name: str) -> None:
        """Count what happened."""
        self.counters[name] = self.counters.get(name, 0) + 1
