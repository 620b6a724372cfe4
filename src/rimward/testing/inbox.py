"""What arrived under a topic filter, decoded."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from rimward.events import CloudEvent, RimwardError
from rimward.events.cloudevents import STRUCTURED, from_mqtt, from_structured
from rimward.protocols.mqtt import Properties, Publish
from rimward.testing.payloads import read

T = TypeVar("T")


class NothingCame(RimwardError):
    """A message was waited for, and everything has come to rest without it."""

    code = "nothing-came"


class Received(Struct, frozen=True):
    """One message as it arrived."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None

    @property
    def event(self) -> CloudEvent | None:
        """The CloudEvent that it carries, None where it carries none.

        Raises:
            CloudEventError: it says that it is one and breaks a rule.
        """
        properties = self.properties
        if properties is None:
            return None
        return from_mqtt(properties.content_type, properties.user or (), self.payload)


class Inbox(Generic[T]):
    """Messages under a topic filter, oldest first."""

    def __init__(
        self, topic_filter: str, type_: Any, until: Callable[[Callable[[], bool]], Awaitable[None]]
    ) -> None:
        self.filter = topic_filter
        self.messages: list[Received] = []
        self._until = until
        self._type = type_
        self._decode: Callable[[bytes], Any] = read if type_ is Any else msgspec.json.Decoder(type_).decode
        self._values: list[T] = []
        self._next = 0

    @property
    def all(self) -> list[T]:
        """Every payload so far."""
        return list(self._values)

    @property
    def last(self) -> T:
        """The newest payload.

        Raises:
            NothingCame: there is none.
        """
        if not self._values:
            raise NothingCame(f"nothing came under {self.filter!r}")
        return self._values[-1]

    async def next(self) -> T:
        """Return the oldest payload that `next` has not returned yet; wait for async functions to send one.

        Raises:
            NothingCame: nothing moves any more and there is none.
        """
        await self._until(lambda: len(self._values) > self._next)
        if len(self._values) <= self._next:
            raise NothingCame(f"nothing more came under {self.filter!r}, and nothing moves")
        self._next += 1
        return self._values[self._next - 1]

    def clear(self) -> None:
        """Forget what came."""
        self.messages.clear()
        self._values.clear()
        self._next = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[T]:
        return iter(self.all)

    def take(self, packet: Publish) -> None:
        """Take a message off the wire."""
        received = Received(packet.topic, packet.payload, packet.qos, packet.retain, packet.properties)
        value: Any = _event(received) if self._type is CloudEvent else self._decode(packet.payload)
        self.messages.append(received)
        self._values.append(value)


def _event(received: Received) -> CloudEvent:
    """Return the event that a message carries; over MQTT 3.1.1 it is the payload."""
    event = received.event
    return from_structured(STRUCTURED, received.payload) if event is None else event
