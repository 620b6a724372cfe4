"""Where functions are to run, and which events killed a process: a file that outlives the node's process.

It says so of a function until the function's code is another (docs/adr/0105).
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct, field

from rimward.observe import Logger, get_logger
from rimward.observe.disk import sync

log: Logger = get_logger("rimward.functions")

KILLS = 2  # of one event, after which it is not run any more


class Placed(Struct, frozen=True):
    """A function that was moved."""

    digest: str  # of its code
    where: str
    reason: str
    at: int  # wall ns


class Death(Struct, frozen=True):
    """One line of the supervisor: a call that its process has not survived."""

    function: str
    digest: str  # of the event, hexadecimal
    cause: str
    seconds: float = 0.0
    at: int = 0  # wall ns


class _Killer(Struct):
    function: str
    event: str
    code: str
    kills: int = 0


class _Kept(Struct):
    functions: dict[str, Placed] = field(default_factory=dict[str, Placed])
    killers: list[_Killer] = field(default_factory=list[_Killer])


class Placement:
    """The file, and what it says."""

    def __init__(self, path: Path, codes: Mapping[str, str], most_events: int) -> None:
        """Read it; `codes` are the digests of all functions' code, by name."""
        self._path = path
        self._codes = codes
        self._most_events = most_events
        self._kept = self._read()
        self._kept.functions = {
            name: one for name, one in self._kept.functions.items() if codes.get(name) == one.digest
        }
        self._kept.killers = [one for one in self._kept.killers if codes.get(one.function) == one.code]
        self.problem: str | None = None  # why the file is not what it should be

    @property
    def functions(self) -> dict[str, Placed]:
        """What was moved, by name."""
        return self._kept.functions

    def killers(self, function: str) -> set[int]:
        """Return the digests of a function's events that are not run any more."""
        return {
            int(one.event, 16)
            for one in self._kept.killers
            if one.function == function and one.kills >= KILLS
        }

    def move(self, function: str, where: str, reason: str, at: int) -> None:
        """Note that a function runs elsewhere from now on."""
        self._kept.functions[function] = Placed(self._codes[function], where, reason, at)

    def killed(self, function: str, event: str) -> int:
        """Note that an event has killed the process of its function; return how often it has."""
        code = self._codes.get(function, "")
        for one in self._kept.killers:
            if (one.function, one.event) == (function, event):
                break
        else:
            one = _Killer(function, event, code)
            self._kept.killers = [*self._kept.killers[-self._most_events + 1 :], one]
        one.kills += 1
        return one.kills

    def encoded(self) -> bytes:
        """Return what the file is to hold."""
        return msgspec.json.encode(self._kept)

    def write(self, data: bytes) -> None:
        """Write the file, durably; that it can't be written is in `problem`."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(data)
            sync(fresh)
            fresh.replace(self._path)
            sync(self._path.parent)
        except OSError as error:
            self.problem = f"where functions run can't be kept: {error.strerror or error}"
            log.error("where functions run can't be kept", error=str(error))  # noqa: TRY400 (it says it all)
        else:
            self.problem = None

    def _read(self) -> _Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.DecodeError) as error:
            log.warning("where functions ran is not known any more", file=self._path.name, error=str(error))
            return _Kept()


def take_deaths(path: Path) -> list[Death]:
    """Return what the supervisor wrote of calls that killed their process."""
    deaths: list[Death] = []
    with suppress(OSError):
        for line in path.read_bytes().splitlines():
            with suppress(msgspec.DecodeError):  # the machine may have gone down in the middle of a line
                deaths.append(msgspec.json.decode(line, type=Death))
    return deaths


def forget_deaths(path: Path) -> None:
    """Take the file away."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
