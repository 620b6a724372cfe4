"""The router that stands before a node's own while a recording is on."""

from collections.abc import Sequence
from typing import Protocol

from rimward.app.effects import Action
from rimward.edge.dispatch.commands import CommandRouter, ReachingRouter
from rimward.edge.dispatch.types import Router


class Hearing(Protocol):
    """Who is told of what goes through."""

    def published(self, actions: Sequence[Action]) -> None:
        """Take what a call has published."""
        ...

    def commanded(self, device: str, name: str, payload: bytes) -> None:
        """Take what a call has commanded a device to do."""
        ...


class Tap:
    """A router that tells a recorder what goes through it."""

    def __init__(self, router: Router, recorder: Hearing) -> None:
        self._router = router
        self._recorder = recorder

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        """Queue a message to every subscriber and return how many there were."""
        self._recorder.published([(topic, payload, qos, retain)])
        return self._router.publish(topic, payload, qos, retain=retain)

    def publish_all(self, actions: Sequence[Action]) -> None:
        """Queue what one call publishes."""
        self._recorder.published(actions)
        self._router.publish_all(actions)

    def flush(self) -> None:
        """Write the joined output of every session that has some."""
        self._router.flush()

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Queue a command for one device; return why it can't take it."""
        self._recorder.commanded(device, name, payload)
        router: object = self._router
        if isinstance(router, CommandRouter):
            return router.command(device, name, payload, number)
        return "no gateway takes commands to devices"

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        router: object = self._router
        if isinstance(router, ReachingRouter):
            return router.reaches(device, name)
        return "no gateway takes commands to devices"
