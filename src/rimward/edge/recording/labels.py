"""Which payloads a recording may hold: those of events that can become no fact of another label.

What a function forwards is read from its code, as `rimward boundary` has it, and learned from what it does
forward; functions that share cells share their labels. Undecoded bytes have the strictest label of what they
may become (GUARANTEES §7).
"""

from collections.abc import Iterable
from typing import Any

from rimward.app import App
from rimward.app.functions import EdgeFunction
from rimward.edge.dispatch import Dispatcher
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.routes import Match, path_segments

TOPICS = 16_384  # whose verdict is remembered; beyond it the memory starts anew


class Labels:
    """The verdict on what comes in and what goes out."""

    def __init__(self, app: App, dispatcher: Dispatcher, allowed: Iterable[str]) -> None:
        """`allowed` are the labels that the recording may have."""
        self._dispatcher = dispatcher
        manifest = app.manifest()
        open_ = frozenset(allowed)
        self.withheld_tables: frozenset[str] = frozenset(
            fact.table for fact in manifest.facts if fact.locality is not None and fact.locality not in open_
        )
        self._withheld = {
            one.name for one in manifest.functions if not self.withheld_tables.isdisjoint(one.forwards)
        }
        sharing = {type_ for one in app.edge_functions if one.name in self._withheld for type_ in _cells(one)}
        self._withheld |= {one.name for one in app.edge_functions if not sharing.isdisjoint(_cells(one))}
        behind = {one.name: one.behind for one in manifest.functions}
        waiting = list(self._withheld)
        while waiting:  # what a stream takes becomes what those behind it make of its values
            before = set(behind.get(waiting.pop(), ())) - self._withheld
            self._withheld |= before
            waiting += before
        named = {table for one in manifest.functions for table in one.forwards}
        self._all = not self.withheld_tables <= named  # nobody knows which function forwards it
        self._topics: dict[str, bool] = {}

    @property
    def strict(self) -> bool:
        """Whether anything is withheld: then what has no known cause is."""
        return bool(self.withheld_tables)

    def topic(self, topic: str) -> bool:
        """Tell whether a message's payload is withheld."""
        if not self.withheld_tables:
            return False
        known = self._topics.get(topic)
        if known is None:
            if len(self._topics) >= TOPICS:
                self._topics.clear()
            known = self._topics[topic] = self._of_topic(topic)
        return known

    def request(self, protocol: str, method: str, path: str) -> bool:
        """Tell whether a request's body is withheld."""
        if not self.withheld_tables:
            return False
        segments = path_segments(path)
        match = None if segments is None else self._dispatcher.board.serve(protocol, method, segments)
        return isinstance(match, Match) and self.function(match.target)

    def function(self, run: FunctionRun) -> bool:
        """Tell whether what a function makes is withheld."""
        return self._all or run.name in self._withheld

    def learn(self, topic: str) -> None:
        """Take that a message on a topic has become a fact that is withheld, though no code says so."""
        self._topics[topic] = True

    def _of_topic(self, topic: str) -> bool:
        listeners = self._dispatcher.board.listeners(topic)
        names = {bound.run.name for bound, _ in listeners.bounds}
        names |= {one.inlet.stream.name for one in listeners.streams}
        return self._all or not names.isdisjoint(self._withheld)


def _cells(function: EdgeFunction) -> set[Any]:
    return {one.type for kind in ("state", "states") for one in function.plan.takes(kind)}
