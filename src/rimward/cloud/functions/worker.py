"""`python -m rimward.cloud.functions.worker APP DATA`: runs cloud functions on committed rows, at least once.

A process of its own: the hub never imports the app, and this one has none of the hub's keys. A line on
standard input says that there may be rows; its end says that the hub is gone.
"""

import os
import random
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from rimward.app import App
from rimward.app.functions import CloudFunction
from rimward.app.loading import load
from rimward.app.settings import settings_of
from rimward.cloud.functions.calling import Ground
from rimward.cloud.functions.changes import Changes, HistoryGone
from rimward.cloud.functions.journal import Journal
from rimward.cloud.functions.running import Running
from rimward.cloud.functions.scheduled import Scheduled
from rimward.cloud.functions.working import Tempo
from rimward.cloud.lake.storage import lake_of
from rimward.cloud.lake.view import LocalLake
from rimward.observe import Logger, configure, get_logger
from rimward.wire import HUB, split_version, transaction_id

log: Logger = get_logger("rimward.worker")

LOOK = 1.0  # seconds between two looks without news
SWEEP = 60_000_000_000  # ns between two looks for cells whose time is over


class Worker:
    """The app's cloud functions and how far each has come."""

    def __init__(
        self,
        app: App,
        data: Path,
        settings: Struct | None,
        now: Callable[[], int] = time.time_ns,
        on_error: Callable[[Exception], None] | None = None,
        *,
        patience: float = 1.0,
    ) -> None:
        """Begin, and fence every worker that began before.

        Args:
            app: the app.
            data: the folder with the lake and hub.db.
            settings: the app's, of the type of its `config`.
            now: the wall clock, ns.
            on_error: hears of what a function raised for the last time, before it is a dead letter.
            patience: what pauses between tries are multiplied by; 0: they are over at once.
        """
        self._app = app
        self._now = now
        self._lake = lake_of(data)
        self._journal = Journal(data / "hub" / "hub.db")
        self._swept = now()
        ground = Ground(
            app.facts, app.states, settings, now, self._journal,
            lambda: LocalLake(self._lake, now(), app.facts),
        )  # fmt: skip
        tempo = Tempo(now, random.Random(), patience)  # noqa: S311 (jitter, not secret)
        self._tables: dict[str, Changes] = {}
        self._runs = [self._run_of(function, ground, tempo, on_error) for function in app.cloud_functions]
        for function in app.scheduled_functions:
            if function.was is not None:
                self._journal.rename(function.name, function.was)
        self._scheduled = [Scheduled(one, ground, tempo, on_error) for one in app.scheduled_functions]
        for type_ in app.states.values():
            if type_.was is not None:
                self._journal.rename_cells(type_.name, type_.was)
        self._journal.begin_epoch(dict(self._marks()))

    def _marks(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Yield how far the lake has come with what the hub's functions forwarded before."""
        for fact in self._app.facts.values():
            table = Changes(self._lake, fact.spec.table)
            if table.look():
                yield table.name, split_version(table.mark(transaction_id(HUB, table.name)))

    def _run_of(
        self,
        function: CloudFunction,
        ground: Ground,
        tempo: Tempo,
        on_error: Callable[[Exception], None] | None,
    ) -> Running:
        table = function.fact.spec.table
        if function.was is not None:
            self._journal.rename(function.name, function.was)
        self._journal.adopt(function.name, table)
        changes = self._tables.setdefault(table, Changes(self._lake, table))
        return Running(function, changes, ground, tempo, on_error)

    def run_once(self) -> None:
        """Run every function on the rows and times that it has not had, and on what is to be tried again.

        Raises:
            Fenced: another worker was started.
        """
        for table in self._tables.values():
            table.look()
        for run in self._runs:
            try:
                run.run()
            except HistoryGone as error:  # between two looks; the next one searches the table
                log.info("a table changed while it was read", function=run.name, error=str(error))
        for scheduled in self._scheduled:
            scheduled.run()
        self._sweep()

    def _sweep(self) -> None:
        """Forget cells whose time is over."""
        now = self._now()
        if now - self._swept < SWEEP:
            return
        self._swept = now
        for type_ in self._app.states.values():
            if type_.expires is not None:
                self._journal.forget_cells(type_.name, now - round(type_.expires * 1e9))

    @property
    def is_due(self) -> bool:
        """Whether an event is to be tried again now, or a function's time has come."""
        due = self.next_at
        return due is not None and due <= self._now()

    @property
    def next_at(self) -> int | None:
        """When something is to be done by the clock alone, wall ns."""
        moments = [one.next_at() for one in self._scheduled if not one.waits]
        if (due := self._journal.next_due()) is not None:
            moments.append(due)
        return min(moments, default=None)

    def pause(self) -> float:
        """Return how long nothing is to be done, seconds."""
        due = self.next_at
        return LOOK if due is None else max(0.01, min(LOOK, (due - self._now()) / 1e9))

    def close(self) -> None:
        """Close hub.db."""
        self._journal.close()


def read_settings(app: App) -> Struct | None:
    """Return the app's own settings, from the environment and the file that RIMWARD_CONFIG names."""
    file = os.environ.get("RIMWARD_CONFIG")
    return settings_of(app, Path(file).read_bytes() if file else None, os.environ)


def main() -> int:
    """Work until standard input ends."""
    configure("worker")
    app = load(sys.argv[1])
    worker = Worker(app, Path(sys.argv[2]), read_settings(app))
    while True:
        worker.run_once()
        ready, _, _ = select.select([0], [], [], worker.pause())
        if ready and not os.read(0, 4096):
            return 0


if __name__ == "__main__":
    sys.exit(main())
