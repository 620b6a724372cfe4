"""A device's MQTT client: connects, publishes, subscribes, and comes back after a loss.

What it promises: every wait for the server has a deadline; a QoS 1 message that was sent and not acknowledged
is sent again, marked as a duplicate, on the next connection; subscriptions are made again before it. What it
does not: it keeps nothing on disk, and sessions do not outlive their connection.
"""

import asyncio
from asyncio import Event, Future, Task
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from rimward.devices.connection import Connection, say
from rimward.devices.errors import DeviceError, Refused, Unanswered, Unreachable
from rimward.devices.messages import Acknowledgement, Inbox, Settings
from rimward.devices.reconnect import Policy, is_passing
from rimward.protocols.mqtt import (
    Connect,
    Disconnect,
    Packet,
    Properties,
    Puback,
    Publish,
    Reason,
    Suback,
    Subscription,
)
from rimward.protocols.mqtt.topics import check_name, matches

__all__ = ["Acknowledgement", "Client", "Inbox", "Settings"]

Take = Callable[[Publish], None]
Done = Callable[[Acknowledgement], None]
_SENT = Acknowledgement(0, "sent")
_TAKEN = Acknowledgement(0, "success")


class Client:
    """One device. `async with` connects and closes; with a policy it reconnects in between."""

    def __init__(self, settings: Settings, *, reconnect: Policy | None = None) -> None:
        self.settings = settings
        self.reconnects: int = 0
        self.resent: int = 0  # QoS 1 messages sent again
        self.failure: DeviceError | None = None  # why it gave up for good
        self._policy = reconnect
        self._connection: Connection | None = None
        self._subscriptions: dict[str, tuple[int, Take]] = {}  # by filter: QoS and who takes the messages
        self._done: dict[int, Done] = {}  # by packet id of an unacknowledged message
        self._again: deque[tuple[Publish, Done]] = deque()  # of connections that are lost
        self._asked: dict[int, Future[Suback]] = {}
        self._keeper: Task[None] | None = None
        self._change = Event()  # room, a connection or the end: whoever waits looks again
        self._closing = False

    # -- its life

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unreachable: nobody answers there.
            Refused: the server does not want this client.
            Unanswered: the server took too long.
        """
        await self._open()
        if self._policy is not None:
            self._keeper = asyncio.create_task(self._keep(self._policy), name="device reconnects")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say goodbye and close."""
        await self.close()

    async def close(self) -> None:
        """Say goodbye and close; messages that are not acknowledged are given up."""
        self._closing = True
        self._change.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            if not self._keeper.cancelled():
                self._keeper.result()
        if self._connection is not None:
            self._connection.disconnect()
            await asyncio.wait({self._connection.closed}, timeout=self.settings.timeout)
            self._connection.abort()
        for future in self._asked.values():
            future.cancel()

    @property
    def is_connected(self) -> bool:
        """Whether the server has accepted, and the connection stands."""
        return self._connection is not None and self._connection.is_up

    @property
    def unacknowledged(self) -> int:
        """QoS 1 messages that the server has not acknowledged."""
        return len(self._done) + len(self._again)

    @property
    def can_send(self) -> bool:
        """Whether `send` takes a message now."""
        connection = self._connection
        return (
            connection is not None
            and connection.is_up
            and connection.is_writable
            and not self._again
            and len(self._done) < self.settings.window
            and connection.session.can_publish
        )

    # -- messages out

    def send(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties | None = None,
        done: Done | None = None,
    ) -> None:
        """Send a message without waiting; `done` is called with its acknowledgement, at QoS 0 at once.

        Raises:
            Unreachable: there is no connection, or no room; `ready` waits for both.
            MqttError: the message breaks a rule.
        """
        if not self.can_send or self._connection is None:
            raise Unreachable("the device can't send now: no connection, or its window is full")
        check_name(topic)  # else the server would end this connection, and each that sends it again
        packet_id = self._connection.session.publish(
            topic, payload, qos, retain=retain, properties=properties
        )
        if packet_id:
            self._done[packet_id] = done or _ignore
        elif done is not None:
            done(_SENT)
        self._connection.flush_soon()

    async def ready(self) -> None:
        """Wait until `send` takes a message.

        Raises:
            DeviceError: the connection is gone for good.
            Unanswered: not within the timeout.
        """
        if not self.can_send:
            await self._until(lambda: self.can_send)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        *,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> Acknowledgement:
        """Send a message and return what the server says to it.

        Raises:
            DeviceError: the connection is gone for good.
            Unanswered: no answer within the timeout; it may still come, and the message may have arrived.
            MqttError: the message breaks a rule.
        """
        answers: list[Acknowledgement] = []

        def answered(answer: Acknowledgement) -> None:
            answers.append(answer)
            self._wake()

        await self.ready()
        self.send(topic, payload, qos, retain=retain, properties=properties, done=answered)
        if not answers:
            await self._until(lambda: bool(answers))
        return answers[0]

    async def settle(self, seconds: float) -> int:
        """Wait until everything is acknowledged, or that long; return how many messages are not."""
        with suppress(DeviceError):
            await self._until(lambda: not self.unacknowledged, seconds)
        return self.unacknowledged

    # -- messages in

    async def subscribe(self, topic_filter: str, take: Take, qos: int = 0) -> int:
        """Have `take` called with every message that fits, on this and later connections; return the QoS.

        Raises:
            Refused: the server does not allow it.
            Unanswered: no answer within the timeout.
            Unreachable: there is no connection.
        """
        if self._connection is None or not self._connection.is_up:
            raise Unreachable("the device is not connected")
        self._subscriptions[topic_filter] = (qos, take)
        try:
            (granted,) = await self._subscribe(self._connection, [topic_filter])
        except DeviceError:
            del self._subscriptions[topic_filter]
            raise
        return granted

    async def inbox(self, topic_filter: str, qos: int = 0) -> Inbox:
        """Subscribe and return an iterator over the messages; raises as `subscribe` does."""
        inbox = Inbox()
        await self.subscribe(topic_filter, inbox.put, qos)
        return inbox

    # -- what the connection tells

    def took(self, packet: Packet) -> None:
        """Take a packet of the server."""
        match packet:
            case Publish():
                for topic_filter, (_, take) in list(self._subscriptions.items()):
                    if topic_filter == packet.topic or matches(topic_filter, packet.topic):
                        take(packet)
                if packet.qos and self._connection is not None:
                    self._connection.session.acknowledge(packet.packet_id)
            case Puback():
                self._acknowledged(packet)
            case Suback():
                future = self._asked.pop(packet.packet_id, None)
                if future is not None and not future.done():
                    future.set_result(packet)
            case Disconnect() if packet.reason == Reason.SESSION_TAKEN_OVER:
                # Coming back would push out the other, who would come back, and so on.
                self.failure = Refused("another device took this client id", packet.reason)
            case _:
                pass

    def lost(self, connection: Connection) -> None:
        """Keep what was not acknowledged for the next connection."""
        unanswered = connection.session.unacknowledged.items()
        older = [(packet, self._done.pop(packet_id, _ignore)) for packet_id, packet in unanswered]
        self._again.extendleft(reversed(older))
        for future in self._asked.values():
            if not future.done():
                future.set_exception(Unreachable(f"the connection was lost: {connection.why()}"))
        self._asked.clear()
        if self._policy is None and self.failure is None:
            self.failure = Unreachable(f"the connection was lost: {connection.why()}")
        self._wake()

    def has_room(self) -> None:
        """Let whoever waits for room look again."""
        self._wake()

    # -- private

    async def _open(self) -> None:
        settings, loop = self.settings, asyncio.get_running_loop()
        connection = Connection(_connect(settings), self, loop, settings.timeout)
        try:
            async with asyncio.timeout(settings.timeout):
                await loop.create_connection(lambda: connection, settings.host, settings.port)
                await connection.accepted
            self._connection = connection
            if self._subscriptions:
                await self._subscribe(connection, list(self._subscriptions))
        except TimeoutError:
            connection.abort()
            raise Unanswered(f"{_place(settings)} did not answer within {settings.timeout:g} s") from None
        except OSError as error:
            raise Unreachable(f"nobody answers at {_place(settings)}: {error.strerror or error}") from None
        except BaseException:
            connection.abort()
            raise
        self._send_again()
        self._wake()

    async def _keep(self, policy: Policy) -> None:
        """Reconnect after every loss, until the server says no for good."""
        while self.failure is None:
            assert self._connection is not None
            await asyncio.wait({self._connection.closed})
            if self.failure is None:
                await asyncio.sleep(policy.delay())
                await self._try_again(policy)
        self._wake()

    async def _try_again(self, policy: Policy) -> None:
        try:
            await self._open()
        except Refused as error:
            if not is_passing(error.reason):
                self.failure = error
        except DeviceError:
            return
        else:
            policy.succeeded()
            self.reconnects += 1

    async def _subscribe(self, connection: Connection, filters: list[str]) -> tuple[int, ...]:
        wanted = [Subscription(name, self._subscriptions[name][0]) for name in filters]
        packet_id = connection.session.subscribe(*wanted)
        future = self._asked[packet_id] = asyncio.get_running_loop().create_future()
        connection.flush_soon()
        try:
            async with asyncio.timeout(self.settings.timeout):
                answer = await future
        except TimeoutError:
            self._asked.pop(packet_id, None)
            raise Unanswered(f"no answer to SUBSCRIBE within {self.settings.timeout:g} s") from None
        for name, reason in zip(filters, answer.reasons, strict=True):
            if reason >= 0x80:
                raise Refused(f"the server refuses {name}: {say(reason, answer.properties)}", reason)
        return answer.reasons

    def _acknowledged(self, packet: Puback) -> None:
        done = self._done.pop(packet.packet_id, _ignore)
        self._send_again()
        if packet.reason or packet.properties:
            done(Acknowledgement(packet.reason, say(packet.reason, packet.properties)))
        else:
            done(_TAKEN)
        self._wake()

    def _send_again(self) -> None:
        """Send what earlier connections left, as far as this one's window allows."""
        connection = self._connection
        while self._again and connection is not None and connection.session.can_publish:
            packet, done = self._again.popleft()
            self._done[connection.session.publish_again(packet)] = done
            self.resent += 1
            connection.flush_soon()

    async def _until(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        limit = self.settings.timeout if seconds is None else seconds
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    if self.failure is not None:
                        raise self.failure
                    if self._closing:
                        raise Unreachable("the device was closed")
                    self._change.clear()
                    await self._change.wait()
        except TimeoutError:
            raise Unanswered(f"{_place(self.settings)} did not answer within {limit:g} s") from None

    def _wake(self) -> None:
        self._change.set()


def _ignore(_answer: Acknowledgement) -> None: ...


def _connect(settings: Settings) -> Connect:
    return Connect(
        settings.client_id,
        settings.version,
        keep_alive=settings.keep_alive,
        username=settings.username,
        password=settings.password,
        will=settings.will,
    )


def _place(settings: Settings) -> str:
    return f"{settings.host}:{settings.port}"
