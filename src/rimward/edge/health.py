"""The node's health as one snapshot: what status pages, commands and alarms read."""

from collections.abc import Callable

from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Dispatcher
from rimward.edge.functions.placing import Placing
from rimward.edge.functions.workers import Workers
from rimward.edge.outbox import Outbox
from rimward.edge.state import Cells
from rimward.observe import Firings, FunctionStats, Recorder, Snapshot


class Health:
    """Collects the figures of a node's parts when asked."""

    def __init__(self, config: NodeConfig, wall: Callable[[], int]) -> None:
        self._config = config
        self.digest: str = config.digest  # of the app's file
        self._wall = wall
        self._started_at = wall()
        self._dispatcher: Dispatcher | None = None
        self._outbox: Outbox | None = None
        self._gateways: dict[str, Callable[[], dict[str, int]]] = {}
        self._recorder: Recorder | None = None
        self.workers: Workers | None = None
        self.placing: Placing | None = None  # who knows how functions behave
        self._problems: dict[str, Callable[[], str | None]] = {}

    def watch(
        self,
        dispatcher: Dispatcher,
        outbox: Outbox,
        gateways: dict[str, Callable[[], dict[str, int]]],
        recorder: Recorder,
        problems: dict[str, Callable[[], str | None]],
    ) -> None:
        """Say whose figures to collect, and who else may have a problem that somebody should hear of."""
        self._problems = problems
        self._dispatcher, self._outbox, self._gateways = dispatcher, outbox, gateways
        self._recorder = recorder

    def snapshot(self) -> Snapshot:
        """Return the node's figures as they are now."""
        functions: dict[str, FunctionStats] = {}
        counters: dict[str, int] = {}
        if self._dispatcher is not None:
            functions = {name: run.figures.stats() for name, run in self._dispatcher.functions.items()}
            dispatcher = self._dispatcher
            counters = {
                "events": dispatcher.events,
                "actions": dispatcher.actions,
                **dispatcher.counters,
            }
            for name, stream in self._dispatcher.streams.items():
                counters[f"late:{name}"] = stream.late
                counters[f"errors:{name}"] = stream.errors
                counters[f"ahead:{name}"] = stream.ahead
                counters[f"keys_full:{name}"] = stream.full
                counters[f"dropped:{name}"] = stream.dropped
                counters[f"keys:{name}"] = len(stream.keys)
                counters[f"keys_in_memory:{name}"] = stream.keys.in_memory
                counters[f"unfit:{name}"] = stream.aside.unfit
            for cells in self._dispatcher.cells.values():
                counters |= _counters_of(cells)
        outbox = {} if self._outbox is None else self._outbox.stats()
        health: dict[str, str] = {}
        if outbox.get("broken"):
            health["outbox"] = (
                "broken: nothing durable is taken until its disk works and the node starts anew"
            )
        elif outbox.get("full"):
            health["outbox"] = "the disk is full: messages with facts are refused"
        elif outbox.get("quarantined"):
            health["outbox"] = "was damaged; what waited in it is kept beside the new one as *.corrupt"
        if self._recorder is not None and self._recorder.problem is not None:
            health["traces"] = self._recorder.problem
        places = {} if self.placing is None else self.placing.where()
        if self.placing is not None:
            health |= self.placing.problems()
        if self.workers is not None and (said := self.workers.problem()) is not None:
            health["workers"] = said
        health |= {name: said for name, ask in self._problems.items() if (said := ask()) is not None}
        return Snapshot(
            at=self._wall(),
            started_at=self._started_at,
            node=self._config.node,
            app=self._config.app,
            digest=self.digest,
            functions=functions,
            gateways={name: stats() for name, stats in self._gateways.items()},
            outbox={name: float(value) for name, value in outbox.items()},
            counters=counters,
            health=health,
            firings={} if self._dispatcher is None else _firings(self._dispatcher),
            places=places,
            workers={} if self.workers is None else self.workers.stats(),
            enforced={} if self.workers is None else self.workers.confinement(),
            enforced_by=() if self.workers is None else self.workers.mechanisms,
        )


def _counters_of(cells: Cells) -> dict[str, int]:
    name, drawer = cells.type.name, cells.drawer
    return {
        f"cells:{name}": len(cells),
        f"cells_in_memory:{name}": len(drawer.hot),
        f"cells_full:{name}": drawer.refused,
        f"cells_unread:{name}": drawer.unread,
    }


def problem_of(dispatcher: Dispatcher) -> str | None:
    """Return what somebody should know of the states' cells: those that can't be read, or have no room."""
    said: list[str] = []
    for cells in dispatcher.cells.values():
        name, drawer = cells.type.name, cells.drawer
        if drawer.unread:
            said.append(f"{name}: this version of the app could not read a cell {drawer.unread} times")
        if drawer.count >= drawer.most:
            said.append(f"{name}: {drawer.count} cells, the limit: messages that make one more are refused")
    return "; ".join(said) or None


def _firings(dispatcher: Dispatcher) -> dict[str, Firings]:
    return {name: Firings(*told) for name, told in dispatcher.firing.told().items()}
