"""Failpoints: named places in the source at which a test makes a process die, fail or wait.

`reach(name)` does nothing unless `RIMWARD_FAILPOINTS` was set when this module was imported: one call of an
empty function. The variable is a list, `outbox.committed=kill@3,ingest.synced=delay:0.2`, or `@FILE`, a file
with such a list that is read again whenever it changes. Actions: `kill` (SIGKILL to the own process),
`raise:OSError` (any built-in exception), `delay:0.2` (seconds, this thread sleeps); `@3` acts the third time
that the place is reached and then never again, without it every time. Before a process kills itself it
appends `name pid` to `FILE.reached` and removes FILE, so that its successor lives.

docs/failpoints.md lists the names; a test holds the list against the source.
"""

import builtins
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from rimward.events import RimwardError

VARIABLE = "RIMWARD_FAILPOINTS"


class FailpointError(RimwardError):
    """A list of failpoints that can't be read."""

    code = "failpoint"


class Action(Struct):
    """What happens at one name."""

    verb: str  # "kill", "raise" or "delay"
    argument: str = ""
    nth: int = 0  # the time that counts; 0: every time
    seen: int = 0  # times that the name was reached


def parse(text: str) -> dict[str, Action]:
    """Read a list of failpoints.

    Raises:
        FailpointError: it has not the form.
    """
    found: dict[str, Action] = {}
    for part in filter(None, (one.strip() for one in text.replace("\n", ",").split(","))):
        name, _, rest = part.partition("=")
        what, _, nth = rest.partition("@")
        verb, _, argument = what.partition(":")
        if not name or not _fits(verb, argument) or (nth and not nth.isdecimal()):
            raise FailpointError(
                f"{VARIABLE}: {part!r} is not name=kill, name=raise:ERROR or name=delay:SECONDS, each with @N"
            )
        found[name] = Action(verb, argument, int(nth or 0))
    return found


def _fits(verb: str, argument: str) -> bool:
    if verb == "delay":
        return argument.replace(".", "", 1).isdecimal()
    if verb == "raise":
        error = getattr(builtins, argument, None)
        return isinstance(error, type) and issubclass(error, Exception)
    return verb == "kill" and not argument


class Failpoints:
    """The armed places of one process."""

    def __init__(self, text: str) -> None:
        self._file = Path(text[1:]) if text.startswith("@") else None
        self._stamp = 0  # ns, the file's time of change; 0: it was not there
        self._actions = {} if self._file else parse(text)

    def reach(self, name: str) -> None:
        """Do what is planned for this place, if it is its turn."""
        self._look()
        action = self._actions.get(name)
        if action is None:
            return
        action.seen += 1
        if action.nth in (0, action.seen):
            self._act(name, action)

    def _look(self) -> None:
        if self._file is None:
            return
        try:
            stamp = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            self._stamp, self._actions = 0, {}
            return
        if stamp != self._stamp:
            self._actions = parse(self._file.read_text())
            self._stamp = stamp

    def _act(self, name: str, action: Action) -> None:
        if action.verb == "delay":
            time.sleep(float(action.argument))
        elif action.verb == "raise":
            raise getattr(builtins, action.argument)(f"failpoint {name}")
        else:
            self._say(name)
            os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, name: str) -> None:
        if self._file is not None:
            with self._file.with_name(f"{self._file.name}.reached").open("a") as said:
                said.write(f"{name} {os.getpid()}\n")
            self._file.unlink(missing_ok=True)


def _nothing(_name: str) -> None:
    """Do nothing: no failpoint is armed in this process."""


def armed(text: str | None) -> Callable[[str], None]:
    """Return what `reach` is under a value of the variable.

    Raises:
        FailpointError: it has not the form.
    """
    return Failpoints(text).reach if text else _nothing


reach: Callable[[str], None] = armed(os.environ.get(VARIABLE))
