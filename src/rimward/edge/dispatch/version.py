"""A version of an app, ready to run: what a message finds in it, and what it takes over from the one before.

Making one changes nothing that runs. `follow` is the moment at which it takes over, between two events; calls
that run then end on the version that they began on.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app import App
from rimward.app.facts import Fact
from rimward.app.state import StateType
from rimward.edge.cells import StatesConfig
from rimward.edge.dispatch.board import Board
from rimward.edge.dispatch.functions import Bound, FunctionRun
from rimward.edge.dispatch.keys import StreamsConfig
from rimward.edge.dispatch.ports import Listeners, OutboxPort
from rimward.edge.dispatch.renaming import load_cells, stream_ground
from rimward.edge.dispatch.streams import StreamRun
from rimward.edge.state import Cells


class Site(Struct, frozen=True):
    """What the versions of one node have in common."""

    outbox: OutboxPort
    wall: Callable[[], int]  # ns
    now: Callable[[], int]  # monotonic ns
    boot: str  # what no other start of the node has
    streams: StreamsConfig
    states: StatesConfig


class Version:
    """One version of an app on one node."""

    def __init__(
        self, app: App, settings: Struct | None, site: Site, before: "Version | None" = None
    ) -> None:
        """`settings` are of the type that the app names as its `config`; `before` is what runs now.

        Raises:
            Exception: something of it can't be made ready, whatever a user's type may raise.
        """
        self.app: App = app
        self.settings: Struct | None = settings
        self.facts: dict[type[Struct], Fact] = app.facts
        self._drawers: dict[str, Cells] = {} if before is None else dict(before._drawers)  # by state
        self.cells: dict[type[Struct], Cells] = {
            struct: self._cells_of(type_, site) for struct, type_ in app.states.items()
        }
        self.functions: dict[str, FunctionRun] = {
            function.name: FunctionRun(function, self.cells, settings) for function in app.edge_functions
        }
        node = site.outbox, site.boot, site.now
        ground = stream_ground(app, node, self.cells, site.streams, running=before is not None)
        self.board: Board = Board(app, self.functions, ground, {} if before is None else before.streams)
        self.streams: dict[str, StreamRun] = self.board.streams
        self.numbers: dict[str, int] = {} if before is None else dict(before.numbers)  # in the slot
        watched: list[FunctionRun | StreamRun] = [*self.functions.values(), *self.streams.values()]
        for one in watched:
            one.number = self.numbers.setdefault(one.name, len(self.numbers) + 1)

    def _cells_of(self, type_: StateType[Any], site: Site) -> Cells:
        before = self._drawers.get(type_.name)
        made = (
            load_cells(site.outbox, type_, site.wall, site.states) if before is None else before.turned(type_)
        )
        self._drawers[type_.name] = made
        return made

    def listeners(self, old: Listeners) -> Listeners:
        """Return what a message runs that has waited since before this version, and has not begun."""
        if old.topic is not None:
            return self.board.listeners(old.topic)
        return Listeners([(self._bound(bound), field) for bound, field in old.bounds], [])

    def _bound(self, old: Bound) -> Bound:
        """Return a bound function of this version, or the old one where that is bound otherwise now."""
        run = self.functions.get(old.run.name)
        if run is None or str(run.function.trigger) != str(old.run.function.trigger):
            return old
        return run.bind(*old.named)

    def follow(self, before: "Version") -> int:
        """Take over from the version that has run until now; return how many calls the others had.

        Figures go on, streams keep what their keys know, and events that kill stay known.
        """
        for name, run in self.functions.items():
            if (old := before.functions.get(name)) is not None:
                run.figures = old.figures
                run.figures.aim(run.function.budget)
        for name, stream in self.streams.items():
            if (was := before.streams.get(name)) is not None:
                stream.follow(was)
        gone = [run for name, run in before.functions.items() if name not in self.functions]
        for name, stream in before.streams.items():
            if name not in self.streams:
                stream.keys.leave()
        return sum(run.figures.alone for run in gone)
