"""An MQTT device in memory: the real client session, on a line to the node's real gateway."""

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar, overload

from msgspec import Struct
from msgspec.structs import replace

from rimward.app.effects import EventPayload, encode_payload
from rimward.devices.connection import say
from rimward.devices.errors import Refused, Unanswered, Unreachable
from rimward.events.cloudevents import to_mqtt
from rimward.protocols.mqtt import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Publish,
    Suback,
    Subscription,
    Subscriptions,
    Will,
)
from rimward.protocols.mqtt.client import ClientSession
from rimward.protocols.mqtt.subscriptions import Options
from rimward.testing.clock import Clock, Loop, Planned
from rimward.testing.inbox import Inbox, Received
from rimward.testing.line import Line, Peer
from rimward.testing.payloads import read

T = TypeVar("T")
Version = Literal["mqtt3", "mqtt5"]


class Ack(Struct, frozen=True):
    """What the node answered to a message."""

    code: int | None  # the PUBACK's reason code, 0 is success; None: at QoS 0, or where none came
    reason: str = ""  # in words, where there are some
    sent: int = 1  # how often the device sent the message

    @property
    def ok(self) -> bool:
        """Whether the node has taken the message and said so."""
        return self.code is not None and self.code < 0x80


class Identity(Struct, frozen=True):
    """How a device connects."""

    id: str
    protocol: Version = "mqtt5"
    user: str | None = None
    keep_alive: int = 0  # seconds; 0 turns it off
    session: int = 0  # seconds that its session outlives a connection
    will: Will | None = None


class House(Protocol):
    """What a device asks of its Site."""

    clock: Clock
    outside: Loop

    def open_mqtt(self, peer: Peer) -> Line:
        """Connect to the node's MQTT gateway."""
        ...

    async def until(self, done: Callable[[], bool]) -> None:
        """Run until it is done, or until nothing moves."""
        ...


class _Sent:
    """A message at QoS 1 and what became of it."""

    __slots__ = ("ack", "packet", "times")

    def __init__(self, packet: Publish) -> None:
        self.packet = packet
        self.times = 1
        self.ack: Ack | None = None


class Device:
    """One device. It is connected at once, and again by itself after the node was killed.

    As a real one does, it then subscribes anew and sends again what was not acknowledged. One whose session
    outlives its connections gets what came in between.
    """

    def __init__(self, house: House, identity: Identity) -> None:
        self.id: str = identity.id
        self._house = house
        self._identity = identity
        self._line: Line | None = None
        self._session: ClientSession | None = None
        self._inboxes: Subscriptions[Inbox[Any]] = Subscriptions()
        self._filters: dict[str, int] = {}  # with their QoS
        self._asked: dict[int, str] = {}  # filters by packet id of their SUBSCRIBE
        self._granted: set[str] = set()
        self._waiting: dict[int, _Sent] = {}  # by packet id
        self._unsent: list[_Sent] = []  # of connections that ended with their node
        self._goodbye = ""  # why the node closed the connection, or refused a subscription
        self._goodbye_code = 0x80
        self._requests = 0
        self._commands: dict[str, Callable[[Any], Any]] = {}
        self._timer: Planned | None = None

    # -- the connection

    @property
    def connected(self) -> bool:
        """Whether the node has accepted the device, and the connection stands."""
        return self._session is not None and self._session.connected

    def connect(self) -> None:
        """Connect, if the device is not connected.

        Raises:
            Refused: the node does not accept it.
        """
        if self.connected:
            return
        self._open()
        self._house.clock.run()
        session = self._session
        if session is None or session.connack is None:
            raise Unreachable(f"{self.id}: the node does not answer: {self._goodbye or 'it hung up'}")
        if session.connack.reason:
            reason = session.connack.reason
            raise Refused(f"{self.id}: {say(reason, session.connack.properties)}", reason)

    def disconnect(self, *, politely: bool = True) -> None:
        """Say goodbye and hang up, or, not politely, just vanish: then the will is published."""
        if self._session is not None and self._line is not None:
            line = self._line
            if politely:
                self._session.disconnect()
                self._flush()
                self._house.clock.run()
            line.hang_up()  # the node has done so already where the goodbye was heard
        self._house.clock.run()

    def mute(self) -> None:
        """Give no more signs of life, as a device does whose radio is out of reach."""
        if self._timer is not None:
            self._timer.cancel()

    # -- messages

    async def publish(
        self,
        topic: str,
        payload: Any = b"",
        *,
        qos: Literal[0, 1] = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> Ack:
        """Publish a message and return the node's answer to it.

        A payload is sent as `app.publish` does: bytes as they are, text as UTF-8, a `CloudEvent` in binary
        mode (over MQTT 3.1.1 in the JSON event format), anything else as JSON. At
        QoS 0 the functions have run when this returns, but for what async ones still wait for. An answer
        that never comes has the code None, and the reason says why.

        Raises:
            Unreachable: the device is not connected.
        """
        session = self._session
        if session is None or not session.connected:
            raise Unreachable(f"{self.id} is not connected: call connect()")
        body = encode_payload(payload)
        if isinstance(body, EventPayload) and self._identity.protocol == "mqtt5":
            carried = to_mqtt(body.event)
            own = properties or Properties()
            user = (*(own.user or ()), *carried.fields.items())
            properties = replace(own, content_type=carried.content_type, user=user)
            body = carried.body
        packet_id = session.publish(topic, body, qos, retain=retain, properties=properties)
        if not qos:
            self._flush()
            self._house.clock.run()
            return Ack(None)
        sent = self._waiting[packet_id] = _Sent(session.unacknowledged[packet_id])
        self._flush()
        await self._house.until(lambda: sent.ack is not None)
        if sent.ack is None:
            raise Unanswered(f"{self.id}: {topic} is not acknowledged, and nothing moves")
        return sent.ack

    async def request(self, topic: str, payload: Any = b"") -> Received:
        """Publish with a Response Topic and return the function's reply.

        Raises:
            Refused: the node refuses the message; the error has its reason code.
            NothingCame: it was taken and nobody replied.
        """
        self._requests += 1
        number = str(self._requests)
        inbox = self.subscribe(f"replies/{self.id}/{number}")
        properties = Properties(response_topic=inbox.filter, correlation_data=number.encode())
        ack = await self.publish(topic, payload, qos=1, properties=properties)
        if not ack.ok:
            raise Refused(f"{self.id}: {topic}: {ack.reason}", ack.code or 0)
        await inbox.next()
        return inbox.messages[0]

    @overload
    def subscribe(self, topic_filter: str, *, qos: Literal[0, 1] = 1) -> Inbox[Any]: ...
    @overload
    def subscribe(self, topic_filter: str, type_: type[T], *, qos: Literal[0, 1] = 1) -> Inbox[T]: ...
    def subscribe(self, topic_filter: str, type_: Any = Any, *, qos: Literal[0, 1] = 1) -> Inbox[Any]:
        """Subscribe and return what arrives, as values of `type_` where one is given.

        Raises:
            Refused: the node grants no such subscription.
        """
        inbox: Inbox[Any] = Inbox(topic_filter, type_, self._house.until)
        self._inboxes.add(topic_filter, inbox, Options(qos, no_local=False, retain_as_published=False))
        self._filters[topic_filter] = qos
        if self._session is not None:
            self._ask(self._session, topic_filter)
            self._flush()
            self._house.clock.run()
            if topic_filter not in self._granted:
                del self._filters[topic_filter]
                words, reason = self._goodbye or "it hung up", self._goodbye_code
                raise Refused(f"{self.id}: the node grants no {topic_filter}: {words}", reason)
        return inbox

    def on_command(self, name: str, answer: Callable[[Any], Any]) -> None:
        """Take commands of a name from now on: `answer` gets a payload and returns the acknowledgement's.

        None is an empty acknowledgement. What `answer` raises is raised where the test waits.
        """
        self._commands[name] = answer
        topic = f"devices/{self.id}/commands/{name}"
        self.subscribe(topic if self._identity.protocol == "mqtt5" else f"{topic}/+")

    # -- the line's side

    def receive(self, data: bytes) -> None:
        """Take bytes from the node."""
        session = self._session
        if session is None:
            return
        for packet in session.receive_data(data):
            self._take(session, packet)
        self._flush()

    def ended(self, *, killed: bool) -> None:
        """Learn that the connection is over."""
        session, self._session, self._line = self._session, None, None
        if self._timer is not None:
            self._timer.cancel()
        if session is None:
            return
        session.closed = True
        waiting, self._waiting = self._waiting, {}
        if killed:
            self._unsent += waiting.values()
            self._open()
            return
        for sent in waiting.values():
            why = self._goodbye or "the connection was closed"
            sent.ack = Ack(None, f"not acknowledged: {why}", sent.times)
        if session.connack is not None and session.connack.reason:
            self._session = session  # for `connect`, which says why

    # -- private

    def _open(self) -> None:
        identity = self._identity
        version = 5 if identity.protocol == "mqtt5" else 4
        lasting = Properties(session_expiry=identity.session) if identity.session and version == 5 else None
        connect = Connect(
            identity.id,
            version,
            clean_start=not identity.session,
            keep_alive=identity.keep_alive,
            username=identity.user,
            will=identity.will,
            properties=lasting,
        )
        self._goodbye = ""
        self._session = ClientSession(connect, self._now())
        self._line = self._house.open_mqtt(self)
        self._flush()

    def _now(self) -> float:
        return self._house.clock.monotonic() * 1e-9

    def _take(self, session: ClientSession, packet: Packet) -> None:
        match packet:
            case Publish():
                for delivery in self._inboxes.match(packet.topic).deliveries:
                    delivery.subscriber.take(packet)
                if packet.qos:
                    session.acknowledge(packet.packet_id)
                if packet.topic.startswith(f"devices/{self.id}/commands/"):
                    self._obey(session, packet)
            case Puback():
                if (sent := self._waiting.pop(packet.packet_id, None)) is not None:
                    sent.ack = Ack(packet.reason, _words(packet.reason, packet.properties), sent.times)
            case Connack() if not packet.reason:
                self._resume(session)
            case Suback():
                self._answered(packet)
            case Disconnect():
                self._goodbye, self._goodbye_code = say(packet.reason, packet.properties), packet.reason
            case _:
                pass

    def _resume(self, session: ClientSession) -> None:
        """Subscribe as before where the session is a new one, and send again what was not acknowledged."""
        self._asked.clear()
        present = session.connack is not None and session.connack.session_present
        for topic_filter in self._filters:
            if not present or topic_filter not in self._granted:
                self._ask(session, topic_filter)
        unsent, self._unsent = self._unsent, []
        for sent in unsent:
            sent.times += 1
            self._waiting[session.publish_again(sent.packet, resumed=present)] = sent
        self._keep_alive()

    def _ask(self, session: ClientSession, topic_filter: str) -> None:
        again = 2 if topic_filter in self._granted else 0  # what is retained came with the first subscription
        wish = Subscription(topic_filter, self._filters[topic_filter], retain_handling=again)
        self._asked[session.subscribe(wish)] = topic_filter

    def _answered(self, packet: Suback) -> None:
        topic_filter, reason = self._asked.pop(packet.packet_id), packet.reasons[0]
        if reason < 0x80:
            self._granted.add(topic_filter)
        else:
            self._goodbye, self._goodbye_code = say(reason, packet.properties), reason

    def _obey(self, session: ClientSession, packet: Publish) -> None:
        name, _, number = packet.topic.split("/", 3)[3].partition("/")
        if (answer := self._commands.get(name)) is None:
            return
        value = answer(read(packet.payload))
        payload = b"" if value is None else encode_payload(value)
        if packet.properties is not None and packet.properties.response_topic is not None:
            properties = Properties(correlation_data=packet.properties.correlation_data)
            session.publish(packet.properties.response_topic, payload, properties=properties)
        else:
            session.publish(f"devices/{self.id}/replies/{name}/{number}", payload)

    def _keep_alive(self) -> None:
        session = self._session
        if session is not None and self._identity.keep_alive and (due := session.deadline) is not None:
            self._timer = self._house.outside.call_at(round(due * 1e9), self._tick)

    def _tick(self) -> None:
        if self._session is not None:
            self._session.tick(self._now())
            self._flush()
            self._keep_alive()

    def _flush(self) -> None:
        if self._session is not None and self._line is not None:
            data = self._session.data_to_send(self._now())
            if data:
                self._line.send(data)


def _words(reason: int, properties: Properties | None) -> str:
    return say(reason, properties) if reason else ""
