"""Actions for sockets: who has opened `ws(path, topic=…)` is told what functions publish to that topic."""

from collections.abc import Sequence
from typing import Protocol

from rimward.app.effects import Action
from rimward.edge.dispatch.types import Router

MAX_OF_ONE = 1024  # sockets of one topic


class Told(Protocol):
    """A socket, as its topic sees it."""

    def told(self, payload: bytes) -> None:
        """Send an action."""
        ...


class Topics:
    """Which sockets are told of which topic. Topics are whole, without wildcards."""

    def __init__(self) -> None:
        self._sockets: dict[str, dict[Told, None]] = {}

    def add(self, topic: str, socket: Told) -> None:
        """Tell a socket from now on."""
        self._sockets.setdefault(topic, {})[socket] = None

    def remove(self, topic: str, socket: Told) -> None:
        """Tell it no more."""
        sockets = self._sockets.get(topic)
        if sockets is not None and sockets.pop(socket, socket) is None and not sockets:
            del self._sockets[topic]

    def is_full(self, topic: str) -> bool:
        """Tell whether no further socket fits."""
        return len(self._sockets.get(topic, ())) >= MAX_OF_ONE

    def tell(self, topic: str, payload: bytes) -> int:
        """Send an action to a topic's sockets and return how many there are."""
        sockets = self._sockets.get(topic)
        if sockets is None:
            return 0
        for socket in sockets:
            socket.told(payload)
        return len(sockets)


class CommandingRouter(Router, Protocol):
    """The MQTT gateway."""

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Queue a command for one device; return why it can't take it."""
        ...

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        ...


class BothWays:
    """A `Router` to MQTT subscribers and to sockets; made only where an app has sockets with a topic."""

    def __init__(self, mqtt: CommandingRouter, topics: Topics) -> None:
        self._mqtt = mqtt
        self._topics = topics

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        """Queue a message to every subscriber and return how many there were. Never blocks."""
        return self._mqtt.publish(topic, payload, qos, retain=retain) + self._topics.tell(topic, payload)

    def publish_all(self, actions: Sequence[Action]) -> None:
        """Queue what one call publishes. Never blocks."""
        self._mqtt.publish_all(actions)
        for topic, payload, *_ in actions:
            self._topics.tell(topic, payload)

    def flush(self) -> None:
        """Write the joined output of every session that has some."""
        self._mqtt.flush()

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Queue a command for one device; return why it can't take it. Never blocks."""
        return self._mqtt.command(device, name, payload, number)

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        return self._mqtt.reaches(device, name)
