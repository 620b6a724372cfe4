"""Faults that people inject to see what happens: which are on now, read by whatever they are to hit.

`rimward fault` writes `DATA/node/faults.json`, an object by kind of what is wrong and until when. Nobody has
to take it back: each one names its end, so it is over also where the command was killed.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

FILE = Path("node", "faults.json")  # below the data folder
LOOK = 0.25  # seconds between two looks at the file
LONGEST = 3600.0  # seconds that a fault may last
Kind = Literal["uplink", "hub", "ingest", "bus", "disk", "clock"]


class Fault(Struct, frozen=True):
    """One fault, from and until when by the machine's wall clock, ns: a clock set back ends it."""

    since: int
    until: int
    mode: str = ""  # of the disk: "error", "slow" or "full"
    delay: float = 0.0  # seconds, of each write to a slow disk
    offset: int = 0  # ns by which the node's clock is wrong

    def on(self, now: int) -> bool:
        """Tell whether it is on at a time, wall ns."""
        return self.since <= now < self.until


class Faults:
    """What is wrong on purpose now. Asking costs a clock; the file is looked at a few times a second."""

    def __init__(
        self,
        data: Path,
        now: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = data / FILE
        self._now = now
        self._monotonic = monotonic
        self._due = float("-inf")  # monotonic seconds of the next look
        self._seen: tuple[int, int] | None = None  # of the file when it was read
        self._faults: dict[str, Fault] = {}

    def get(self, kind: Kind) -> Fault | None:
        """Return the fault of a kind that is on now."""
        return self.active().get(kind)

    def active(self) -> dict[str, Fault]:
        """Return what is on now, by kind."""
        at = self._monotonic()
        if at >= self._due:
            self._due = at + LOOK
            self._look()
        if not self._faults:
            return self._faults
        now = self._now()
        return {kind: fault for kind, fault in self._faults.items() if fault.on(now)}

    def _look(self) -> None:
        try:
            found = self._path.stat()
            if (seen := (found.st_mtime_ns, found.st_ino)) != self._seen:
                self._faults, self._seen = read(self._path), seen
        except OSError:
            self._faults, self._seen = {}, None


def read(path: Path) -> dict[str, Fault]:
    """Return the faults of a file; none where there is no such file or it makes no sense."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Fault])
    except (OSError, msgspec.DecodeError):
        return {}


def inject(data: Path, kind: Kind, fault: Fault) -> None:
    """Write a fault down beside those that are on.

    Raises:
        OSError: the disk refused it.
    """
    _write(data / FILE, {**_current(data, fault.since), kind: fault})


def take_back(data: Path, kind: Kind) -> None:
    """End a fault before its time.

    Raises:
        OSError: the disk refused it.
    """
    faults = _current(data, time.time_ns())
    faults.pop(kind, None)
    _write(data / FILE, faults)


def _current(data: Path, now: int) -> dict[str, Fault]:
    return {kind: fault for kind, fault in read(data / FILE).items() if fault.on(now)}


def _write(path: Path, faults: dict[str, Fault]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(".faults.new")
    draft.write_bytes(msgspec.json.encode(faults))
    draft.replace(path)
