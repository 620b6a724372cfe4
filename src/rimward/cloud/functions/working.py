"""Calls of a cloud function: retries in each key's order, dead letters, and what commits together.

Where its events come from is its subclasses' matter: the rows of a table, or a schedule.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from rimward.app.functions import CloudFunction, ScheduledFunction
from rimward.cloud.functions.calling import Call, Ground
from rimward.cloud.functions.changes import Row
from rimward.cloud.functions.journal import Parked, Unit
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.worker")

GROUP = 64  # calls in one transaction
GROUP_NS = 50_000_000  # wall ns that a transaction gathers calls
LONGEST = 300.0  # seconds between two tries, at most


class Tempo(Struct, frozen=True):
    """When a function that failed is tried again."""

    now: Callable[[], int]  # wall ns
    chance: random.Random
    patience: float = 1.0  # what pauses are multiplied by

    def due(self, backoff: float, tries: int) -> int:
        """Return when the next try is, after so many, wall ns."""
        pause = min(LONGEST, backoff * 2 ** min(tries - 1, 16)) * self.chance.uniform(0.8, 1.2)
        return self.now() + max(1, round(pause * self.patience * 1e9)) if self.patience else self.now()


class Working(ABC):
    """One function and how far it has come."""

    def __init__(
        self,
        function: CloudFunction | ScheduledFunction,
        ground: Ground,
        tempo: Tempo,
        on_error: Callable[[Exception], None] | None,
    ) -> None:
        self.name: str = function.name
        self._options = function.options
        self._called = function
        self._ground = ground
        self._journal = ground.journal
        self._tempo = tempo
        self._on_error = on_error
        self._offset = self._journal.offset(self.name)
        self._places = self._journal.places(self.name)
        self._waiting: dict[str, int] = {}  # events that wait, by key
        self._begun = 0  # wall ns at which the unit was begun
        self._unit = self._fresh()

    def run(self) -> None:
        """Work on everything that is there now, and commit it.

        Raises:
            Fenced: another worker was started.
            HistoryGone: the table changed meanwhile; look again.
        """
        self._waiting = self._journal.parked_keys(self.name)
        self._unit = self._fresh()
        try:
            self._retry()
            self._advance()
        finally:  # what has ended is kept also where a call was interrupted
            self._commit()

    @abstractmethod
    def _advance(self) -> None:
        """Work on what is new."""

    # -- calls

    def _fail(self, key: str, rows: list[Row], error: Exception) -> None:
        """Let a call that raised wait for its next try; a batch is tried row by row then."""
        options, alone = self._options, len(rows) == 1
        if alone and options.retries == 0 and options.on_fail == "dead-letter":
            self._bury(rows[0], error)
            return
        due = self._tempo.due(options.backoff, 1)
        tried = int(alone)
        self._park(key, [(row, tried, due if n == 0 else 0, _told(error)) for n, row in enumerate(rows)])

    def _park(self, key: str, rows: list[tuple[Row, int, int, str | None]]) -> None:
        self._unit.park += [(key, *row) for row in rows]
        self._waiting[key] = self._waiting.get(key, 0) + len(rows)

    def _retry(self) -> None:
        """Try again what is due, and what waited behind it."""
        while due := self._journal.due(self.name, self._tempo.now(), GROUP):
            for parked in due:
                error = self._call([parked.row])
                if error is None:
                    self._unpark(parked)
                else:
                    self._fail_again(parked, error)
            self._commit()

    def _fail_again(self, parked: Parked, error: Exception) -> None:
        options, tries = self._options, parked.tries + 1
        if tries > options.retries and options.on_fail == "dead-letter":
            self._bury(parked.row, error)
            self._unpark(parked)
        else:
            last = tries > options.retries  # it blocks its key, and is tried now and then
            due = self._tempo.now() + round(LONGEST * 1e9)
            if not last:
                due = self._tempo.due(options.backoff, tries)
            self._unit.delayed.append((parked.id, due, _told(error)))

    def _unpark(self, parked: Parked) -> None:
        self._unit.unparked.append(parked.id)
        self._waiting[parked.key] -= 1

    def _bury(self, row: Row, error: Exception) -> None:
        if self._on_error is not None:
            self._on_error(error)
        log.error("a cloud function gave an event up", function=self.name, error=_told(error))
        self._unit.dead.append((row, _told(error)))

    def _call(self, rows: list[Row]) -> Exception | None:
        """Call the function; its effects are in the unit, or what it raised is returned."""
        self._unit.calls += 1
        try:
            Call(self._called, rows, self._ground, self._unit).run()
        except Exception as error:  # noqa: BLE001 (a user's function may raise anything)
            log.warning("a cloud function raised", function=self.name, error=type(error).__name__)
            return error
        return None

    # -- units of work

    def _fresh(self) -> Unit:
        self._begun = self._tempo.now()
        return Unit(self.name, self._begun, self._offset, self._offset)

    def _settle(self) -> None:
        """Commit when enough has been gathered; at once where something failed, which may be due again."""
        unit = self._unit
        if unit.park and any(due <= self._tempo.now() for *_, due, _ in unit.park):
            self._commit()
            self._retry()
        elif unit.calls >= GROUP or (unit.calls and self._tempo.now() - self._begun > GROUP_NS):
            self._commit()

    def _commit(self) -> None:
        unit = self._unit
        if unit == replace(unit, **_NOTHING) and unit.after == unit.before:
            return
        self._journal.commit(replace(unit, now=self._tempo.now()))
        self._offset = unit.after
        self._places.update(unit.places)
        self._unit = self._fresh()


_NOTHING: dict[str, Any] = {
    "places": {}, "park": [], "delayed": [], "unparked": [], "dead": [], "cells": {}, "forwards": [],
    "commands": [],
}  # fmt: skip


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
