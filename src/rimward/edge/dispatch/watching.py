"""Who wants to know of changes: of keyed state once it has committed, of topics that functions publish to.

It costs those that nobody watches nothing: cells ask one empty dict, topics not even that.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from rimward.app.effects import Action
from rimward.edge.dispatch.commands import CommandRouter, ReachingRouter
from rimward.edge.dispatch.types import Router

Changed = Callable[[], None]
Key = TypeVar("Key", str, tuple[str, str])
Cell = tuple[str, str]  # space and key
EVERY = "\0"  # stands for every key of a space; no capture has it


class Routed(Protocol):
    """What publishes by a router, such as the dispatcher."""

    router: Router


class Watching:
    """The watchers of cells and topics."""

    def __init__(self) -> None:
        self.cells: dict[Cell, dict[Changed, None]] = {}
        self.topics: dict[str, dict[Changed, None]] = {}

    def add(self, cells: Collection[Cell], topic: str, changed: Changed) -> Callable[[], None]:
        """Call `changed` after each change of one of these; return what ends it."""
        places = [self.cells.setdefault(cell, {}) for cell in cells]
        for place in (*places, self.topics.setdefault(topic, {})):
            place[changed] = None

        def stop() -> None:
            for cell in cells:
                _drop(self.cells, cell, changed)
            _drop(self.topics, topic, changed)

        return stop

    def follow(
        self, host: Routed, cells: Collection[Cell], topic: str, changed: Changed
    ) -> Callable[[], None]:
        """Do as `add`; the host's router is tapped for as long as any topic is watched."""
        stop = self.add(cells, topic, changed)
        if not isinstance(host.router, Tap):
            host.router = Tap(host.router, self)

        def end() -> None:
            stop()
            if not self.topics and isinstance(host.router, Tap):
                host.router = host.router.router

        return end

    def tell(self, cells: Iterable[Cell]) -> None:
        """These cells have changed."""
        for cell in cells:
            for found in (cell, (cell[0], EVERY)):
                for changed in tuple(self.cells.get(found, ())):
                    changed()

    def tell_topic(self, topic: str) -> None:
        """A function has published to the topic."""
        for changed in tuple(self.topics.get(topic, ())):
            changed()


def _drop(places: dict[Key, dict[Changed, None]], key: Key, changed: Changed) -> None:
    place = places.get(key)
    if place is not None:
        place.pop(changed, None)
        if not place:
            del places[key]


class Tap:
    """A router while topics are watched: it tells of what goes through."""

    def __init__(self, router: Router, watching: Watching) -> None:
        self.router: Router = router
        self._watching = watching

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        """Pass a message on, and tell those who watch its topic."""
        count = self.router.publish(topic, payload, qos, retain=retain)
        self._watching.tell_topic(topic)
        return count

    def publish_all(self, actions: Sequence[Action]) -> None:
        """Pass on what one call publishes, and tell those who watch."""
        self.router.publish_all(actions)
        for topic, *_ in actions:
            self._watching.tell_topic(topic)

    def flush(self) -> None:
        """Pass it on."""
        self.router.flush()

    def reaches(self, device: str, name: str) -> str | None:
        """Pass the question on."""
        router = self.router
        if isinstance(router, ReachingRouter):
            return router.reaches(device, name)
        return "no gateway takes commands to devices"

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Pass a command on."""
        router = self.router
        if isinstance(router, CommandRouter):
            return router.command(device, name, payload, number)
        return "no gateway takes commands to devices"
