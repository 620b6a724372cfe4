"""Watching over the calls of one process, through its slot: asked to stop, killed, and named when it dies."""

import json
import os
import signal
import time
from contextlib import suppress
from typing import Any, NamedTuple

from rimward_supervisor.overruns import KILL, NOTHING, Seen, Stretch
from rimward_supervisor.slot import ASKED, EVENT, FUNCTION, HANDS, OFF, REPORT, START, SlotFile, Watched

OFTEN, SELDOM = 0.01, 0.1  # seconds between two looks at a process in which nothing is over
AGAIN = 0.005  # seconds until a call that was asked to stop is asked again
BLOCKS = 20_000_000  # ns that a call may sleep before that is told, where nothing is killed
LONG = 20_000_000  # ns: a call that ran so long when somebody else killed its process is taken for the cause
STACK_BYTES = 65_536  # of all its threads
PLACES = 256  # at which calls block that are told
DEATHS_BYTES = 65_536  # beyond it nothing is added; the process takes the file away when it starts
_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")  # ns
_OWN_FAULTS = frozenset(
    -number for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
)


class WatchSpec(NamedTuple):
    """Where a process says what it runs."""

    slot: str
    deaths: str  # file to which a line is added for each call that its process did not survive
    stack: str  # file in which the process tells where it is, asked by SIGUSR1


class Found(NamedTuple):
    """Something that is to be told."""

    event: str  # "overran", "blocks", "culprit"
    fields: dict[str, Any]
    kill: bool = False


class Watch:
    """The watch over one life of a process."""

    def __init__(self, spec: WatchSpec, pid: int) -> None:
        self._spec = spec
        self._pid = pid
        self._slot: SlotFile | None = None
        self._stretch = Stretch()
        self._told = 0  # START of the call that was told of
        self._stack_from = 0  # where its stack begins in the file
        self._waiting: Found | None = None  # told once its stack is there
        self._killed = False
        self._blocking: set[str] = set()  # places that were told
        self._period = OFTEN
        self.next: float = 0.0  # monotonic seconds of the next look
        self.runs: str = ""  # the function that is over its time, for the state file

    def look(self, now: float) -> list[Found]:
        """Look at the slot, ask what is over to stop, and return what is to be told."""
        self.next = now + self._period
        slot = self._slot or self._open()
        if slot is None:
            return []
        slot.refresh()
        found = self._with_stack(slot)
        start, number = slot.words[START], slot.words[FUNCTION]
        about = self._function(slot, number)
        if slot.words[HANDS] == OFF or self._killed:
            return found
        cpu, state = thread_of(self._pid)
        if state in "Tt":  # it was made to stand still
            return found
        sleeps = state in "SD"
        seen = Seen(time.monotonic_ns(), start, about.soft, about.hard, cpu, sleeps)
        action = self._stretch.judge(seen)
        if not start:
            self.runs = ""
        elif action == NOTHING:
            self._soon(seen, now)
            self._look_asleep(slot, about, seen)
        elif slot.words[START] == start:
            self.next = now + AGAIN
            found += self._over(slot, about, seen, action)
        return found

    def died(self, code: int) -> Found | None:
        """Return the call that the process has not survived, and note it for the process that follows."""
        slot = self._slot
        if slot is None or not (start := slot.words[START]) or not slot.words[FUNCTION]:
            return None
        slot.refresh()
        ran = time.monotonic_ns() - start
        outside = code in {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT} and not self._killed
        if outside and ran < LONG:
            return None
        fields: dict[str, Any] = {
            "function": self._function(slot, slot.words[FUNCTION]).name,
            "digest": f"{slot.words[EVENT]:08x}",
            "cause": self._cause(code),
            "seconds": round(ran / 1e9, 3),
        }
        with suppress(OSError):  # a full disk: it is told all the same
            self._note(fields | {"at": time.time_ns()})
        return Found("culprit", fields)

    def close(self) -> None:
        """Let go of the slot."""
        if self._slot is not None:
            self._slot.close()
            self._slot = None

    def _open(self) -> SlotFile | None:
        try:
            self._slot = SlotFile(self._spec.slot)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not yet
        soft = min((one.soft for one in self._slot.functions), default=0) / 1e9
        seldom = SELDOM if self._slot.words[HANDS] != REPORT else OFTEN
        self._period = max(OFTEN, min(seldom, soft / 2))
        return self._slot

    def _function(self, slot: SlotFile, number: int) -> Watched:
        if 0 < number <= len(slot.functions):
            return slot.functions[number - 1]
        return Watched("?", 1 << 62, 1 << 62)

    def _soon(self, seen: Seen, now: float) -> None:
        """Look again when the call that runs could be over its time."""
        left = (seen.soft - self._stretch.burnt(seen)) / 1e9
        self.next = now + max(0.001, min(left, self._period))

    def _over(self, slot: SlotFile, about: Watched, seen: Seen, action: int) -> list[Found]:
        may_kill = slot.words[HANDS] != REPORT and not _is_traced(self._pid)
        kill = action == KILL and may_kill
        took = round((seen.now - seen.start) / 1e9, 3)
        fields: dict[str, Any] = {"function": about.name, "seconds": took, "kill": kill}
        fields["limit"] = (about.hard if kill else about.soft) / 1e9
        self.runs = about.name
        if kill:
            self._killed = True
            return [Found("overran", fields, kill=True)]
        slot.words[ASKED] = seen.start
        if self._told != seen.start:
            self._told = seen.start
            self._waiting = Found("overran", fields)
            self._ask_stack()
        if not _is_traced(self._pid):
            self._signal(signal.SIGALRM)
        return []

    def _look_asleep(self, slot: SlotFile, about: Watched, seen: Seen) -> None:
        """Where nothing is killed, a call that sleeps is told: it blocks everything else."""
        took = seen.now - seen.start
        if slot.words[HANDS] != REPORT or not self._stretch.asleep() or took < BLOCKS:
            return
        if self._told != seen.start:
            self._told = seen.start
            self._waiting = Found("blocks", {"function": about.name, "seconds": round(took / 1e9, 3)})
            self._ask_stack()

    def _ask_stack(self) -> None:
        with suppress(OSError):
            self._stack_from = os.stat(self._spec.stack).st_size  # noqa: PTH116 -- pathlib would be a tenth of this process's memory
            self._signal(signal.SIGUSR1)

    def _with_stack(self, slot: SlotFile) -> list[Found]:
        """Return what was to be told, now that it is known where; a place that blocks is told once."""
        found, self._waiting = self._waiting, None
        if found is None:
            return []
        place = place_in(self._stack(), slot.root)
        if found.event == "blocks":
            if place in self._blocking or len(self._blocking) >= PLACES:
                return []
            self._blocking.add(place)
        return [found._replace(fields=found.fields | {"place": place})]

    def _stack(self) -> str:
        try:
            with open(self._spec.stack, "rb") as file:  # noqa: PTH123 -- as above
                file.seek(self._stack_from)
                return file.read(STACK_BYTES).decode(errors="replace")
        except OSError:
            return ""

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _cause(self, code: int) -> str:
        if self._killed:
            return "killed: it ran past its limit"
        if code in _OWN_FAULTS:
            return signal.Signals(-code).name
        return f"killed from outside by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def _note(self, fields: dict[str, Any]) -> None:
        with open(self._spec.deaths, "a") as file:  # noqa: PTH123 -- as above
            if file.tell() < DEATHS_BYTES:
                file.write(json.dumps(fields) + "\n")


def place_in(stack: str, root: str) -> str:
    """Return the innermost "file:line in function" of a stack in a folder's files, or nothing."""
    for line in stack.splitlines():
        before, quote, rest = line.strip().partition('File "')
        path, _, more = rest.partition('", line ')
        if quote and not before and more:
            number, _, function = more.partition(" in ")
            if path.startswith(root + "/") and "-packages/" not in path:
                return f"{path.rpartition('/')[2]}:{number} in {function}"
    return ""


def thread_of(pid: int) -> tuple[int, str]:
    """Return the processor time of a process's main thread, ns, and its state; (0, "?") where it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/stat") as file:  # noqa: PTH123 -- as above
            fields = file.read().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) * _TICK
        with (
            suppress(OSError, ValueError, IndexError),  # a kernel may have no schedstat
            open(f"/proc/{pid}/task/{pid}/schedstat") as file,  # noqa: PTH123 -- as above
        ):
            cpu = int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return 0, "?"
    return cpu, fields[0]


def _is_traced(pid: int) -> bool:
    """Tell whether a debugger or strace is attached."""
    try:
        with open(f"/proc/{pid}/status") as file:  # noqa: PTH123 -- as above
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)
    except (OSError, IndexError):
        return False
