"""The MQTT gateway of a node: it listens, knows who is connected, and carries actions to them."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

from rimward.app.effects import Action, EventPayload
from rimward.edge.dispatch.types import PlainDoor, Retained, Sender, Ticket
from rimward.edge.gateways.descriptors import allowed
from rimward.edge.gateways.mqtt.broker import Broker, StoreRetained
from rimward.edge.gateways.mqtt.commanding import send_command
from rimward.edge.gateways.mqtt.config import MqttConfig
from rimward.edge.gateways.mqtt.connection import Connection
from rimward.edge.gateways.mqtt.events import outgoing_event
from rimward.edge.gateways.mqtt.routes import Route
from rimward.edge.gateways.mqtt.subscriber import Subscriber
from rimward.edge.gateways.mqtt.wheel import Wheel
from rimward.edge.gateways.turns import Turns
from rimward.observe import Logger, get_logger
from rimward.protocols.mqtt import Connect, Reason, SessionLimits
from rimward.protocols.mqtt.outgoing import Outgoing

log: Logger = get_logger("rimward.mqtt")

SWEEP = 1.0  # seconds between two looks at the deadlines
SHARE = 0.75  # of the process's file descriptors that devices may take
SPARE = 32  # connections beyond the limit that are still told so; more are cut off
LoadRetained = Callable[[], dict[str, Retained]]
OnDead = Callable[[str, str, Sender, str, bytes], Ticket]  # reason, detail, sender, topic, payload
Authenticate = Callable[[Connect], bool]


class MqttGateway:
    """Ends the devices' MQTT, hands their messages to the door and carries actions back: a `Router`."""

    def __init__(  # noqa: PLR0913 (the node wires every seam by name)
        self,
        door: PlainDoor,
        *,
        clock: Callable[[], int],
        config: MqttConfig,
        load_retained: LoadRetained,
        store_retained: StoreRetained,
        on_dead: OnDead,
        authenticate: Authenticate | None = None,
    ) -> None:
        """`clock` is monotonic ns. Without `authenticate` everyone may connect and nobody has a user name."""
        self.door = door
        self.clock = clock
        self.config = config
        self.limits: SessionLimits = config.session_limits()
        self.topics: dict[bytes, str] = {}
        self.counters: dict[str, int] = {}
        self.on_dead = on_dead
        self.broker: Broker = Broker(config, store_retained, self.counters)
        self.reading = False  # a read's own end sees to the output
        self.unwritten = 0
        self.packets_in = 0
        self.packets_out = 0
        self._load_retained = load_retained
        self._authenticate = authenticate
        self._connections: set[Connection] = set()
        self._clients: dict[str, Subscriber] = {}  # by client id
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
        """Take up what was retained; from now on output is written when a turn of the loop is over."""
        self.broker.load_retained(self._load_retained())
        self._loop = loop

    async def serve(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        loop = asyncio.get_running_loop()
        self._max_connections = allowed(self.config.max_connections, SHARE)
        if self._max_connections < self.config.max_connections:
            log.warning("file descriptors limit the connections", connections=self._max_connections)
        self.begin(loop)
        self._server = await loop.create_server(lambda: Connection(self), sock=sock, backlog=1024)
        self._sweep = loop.call_later(SWEEP, self._look_again, loop)

    async def close(self, drain: float) -> None:
        """Stop listening, say goodbye to everyone and wait up to `drain` seconds for them to hang up."""
        if self._server is not None:
            self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._connections):
            connection.session.fail(Reason.SERVER_SHUTTING_DOWN, "the node stops")
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
        return self._wheel.next_at

    def look(self) -> None:
        """Check the connections whose deadlines may have come."""
        now = self.clock() * 1e-9
        for connection in self._wheel.due(now):
            connection.check(now)
        self.flush()

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
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
        subscriber = self._clients.get(device)
        if subscriber is None:
            return "it is not connected"
        why = send_command(self.broker, subscriber, name, payload, number)
        if why is None:
            self.flush_soon()
        return why

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
        ticket = self.broker.retain(topic, outgoing)
        if ticket is not None and ticket.done and ticket.refusal is not None:
            self.count("retained_refused")
            log.warning("an action is not retained", reason=ticket.refusal.detail)

    def stats(self) -> dict[str, int]:
        """Return the gateway's figures."""
        return {
            **self.counters,
            "connections": len(self._connections),
            "clients": len(self._clients),
            "subscriptions": self.broker.table.subscription_count,
            "subscription_bytes": self.broker.table.subscription_bytes,
            "retained": self.broker.retained_count,
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
        self.count("connections_total")
        return True

    def admit(self, connection: Connection, packet: Connect) -> Subscriber | None:
        """Return whose session it is; None where it is refused, which the session then says."""
        session = connection.session
        if len(self._connections) > self._max_connections:
            session.fail(Reason.SERVER_BUSY, f"{self._max_connections} clients are connected, the limit")
            return None
        if self._authenticate is not None and not self._authenticate(packet):
            self.count("auth_failures")
            session.fail(Reason.BAD_USER_NAME_OR_PASSWORD, "user name and password are not accepted")
            return None
        user = packet.username if self._authenticate is not None else None
        client_id = packet.client_id or self._assign()
        known = self._clients.get(client_id)
        if known is not None and known.sender.user != user:
            self.count("auth_failures")
            session.fail(Reason.NOT_AUTHORIZED, "the session belongs to another user")
            return None
        if known is not None:
            self.count("takeovers")
            known.session.fail(Reason.SESSION_TAKEN_OVER, "another connection has this client id")
            known.connection.leave()
        sender = Sender(client_id, "mqtt5" if packet.version == 5 else "mqtt3", user)
        subscriber = self._clients[client_id] = Subscriber(sender, connection)
        return subscriber

    def watch(self, connection: Connection, deadline: float) -> None:
        """Look at a connection again at a time in monotonic seconds."""
        self._wheel.add(connection, deadline)

    def left(self, subscriber: Subscriber) -> None:
        """End a session with its connection."""
        for topic_filter in list(subscriber.filters):
            self.broker.unsubscribe(subscriber, topic_filter)
        self.broker.replays.forget(subscriber)
        if self._clients.get(subscriber.sender.id) is subscriber:
            del self._clients[subscriber.sender.id]

    def lost(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._wheel.remove(connection)
        if not self._connections:
            self._empty.set()

    def _assign(self) -> str:
        self._assigned += 1
        return f"{self._assigned_prefix}{self._assigned:x}"

    def count(self, name: str) -> None:
        """Count what happened."""
        self.counters[name] = self.counters.get(name, 0) + 1
