"""Erased rows that a restore brings back, or that were on their way when they were erased: they go again."""

from collections.abc import Callable, Iterable
from pathlib import Path

from deltalake.exceptions import DeltaError

from rimward.cloud.erasing.lake import LakeEraser
from rimward.cloud.erasing.listing import Erasures
from rimward.cloud.lake.durable import restores_of
from rimward.cloud.lake.storage import Storage
from rimward.observe import Logger, get_logger
from rimward.wire.erasing import Erasure

log: Logger = get_logger("rimward.erasing")

RECENT = 600_000_000_000  # ns for which an erasure is looked after whatever is committed


class Again:
    """Looks at every table that has changed."""

    def __init__(self, data: Path, lake: Storage, now: Callable[[], int]) -> None:
        """`now` is the wall clock, ns."""
        self._lake = lake
        self._now = now
        self._erasures = Erasures(data, lake)
        self._eraser = LakeEraser(lake, now)
        self._seen: dict[str, tuple[str, int]] = {}  # id and version of each table after its last look

    def look(self) -> int:
        """Erase what is there again; return how many rows that were.

        Raises:
            OSError: the disk or the store refused.
        """
        erasures = self._erasures.all()
        if not erasures:
            return 0
        recent = [one for one in erasures if self._now() - one.at < RECENT]
        rows = 0
        for name in self._lake.tables():
            if name.startswith("_") and name != "_dead":
                continue
            try:
                wanted = erasures if self._is_new(name) else recent
                if wanted and self._has_changed(name):
                    rows += self._erase(name, wanted)
                self._seen[name] = self._state(name)
            except DeltaError as error:
                log.warning("a table can't be looked through", table=name, error=type(error).__name__)
        if rows:
            log.error("rows that were erased had come back and were erased again", rows=rows)
        return rows

    def _erase(self, name: str, wanted: Iterable[Erasure]) -> int:
        eraser = self._eraser
        return (eraser.erase_dead(wanted) if name == "_dead" else eraser.erase(name, wanted))[0]

    def _state(self, name: str) -> tuple[str, int]:
        table = self._lake.open(name)
        return str(table.metadata().id), table.version()

    def _has_changed(self, name: str) -> bool:
        return self._seen.get(name) != self._state(name)

    def _is_new(self, name: str) -> bool:
        """Tell whether a table may have any rows that it had not at the last look, old ones too."""
        seen = self._seen.get(name)
        if seen is None:
            return True
        id_, version = self._state(name)
        if id_ != seen[0] or version < seen[1]:
            return True
        return bool(restores_of(self._lake, name, seen[1], version))
