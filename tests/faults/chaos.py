"""Kills by a seed: at every named failpoint, and of any process at random moments, under load."""

import random
import time
from collections import Counter, deque
from collections.abc import Sequence

from msgspec import Struct

from .fleet import Fleet, Machine, placed

VICTIMS = ("supervisor", "node", "deep", "hub", "ingest", "bus")
# Not in this run's way: no node is re-keyed, no row is refused, no cloud function or command is there, …
ELSEWHERE = {"outbox.rekeyed", "ingest.side-written"}
PREFIXES = ("outbox.", "uplink.", "deep.", "ingest.")
TRIES = 4  # times that a failpoint is armed before it is left to another seed
TURN = 0.01  # seconds between looks


def failpoints() -> list[str]:
    """Return the names that a run with devices and without other faults comes by."""
    return sorted(name for name in placed() - ELSEWHERE if name.startswith(PREFIXES))


class Armed(Struct):
    """A failpoint that lies in wait in one process."""

    point: str
    machine: Machine
    process: str
    before: int  # how often the process had died at failpoints
    until: float  # monotonic seconds


class Chaos:
    """One fleet's misfortune."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        self._dice = random.Random(seed)
        self._armed: dict[tuple[str, str], Armed] = {}  # by machine and process
        self._tries: Counter[str] = Counter()  # by failpoint
        self._victim: tuple[Machine, str] | None = None  # of the last random kill, until it is back
        self.kills: Counter[str] = Counter()  # by victim
        self.points: Counter[str] = Counter()  # by failpoint at which a process died

    def run(self, points: Sequence[str], *, patience: float, pause: float) -> None:
        """Let a process die at each failpoint, and kill a random one `pause` seconds after the last is back.

        Each kind of process goes through its failpoints in this seed's order, all kinds at the same time; a
        failpoint that nobody comes by within `patience` seconds is armed again, later and elsewhere.
        """
        queues = self._queues(points)
        next_kill, kills = self._soon(pause), 0
        while self._armed or any(queues.values()) or not kills:
            for process, queue in queues.items():
                if queue and (machine := self._free(process)) is not None:
                    self._arm(machine, process, queue.popleft(), patience)
            for place, armed in tuple(self._armed.items()):
                if not self._over(armed):
                    continue
                del self._armed[place]
                if not self._died(armed) and self._tries[armed.point] < TRIES:
                    queues[armed.process].append(armed.point)
            if not self._back():
                next_kill = self._soon(pause)
            elif time.monotonic() >= next_kill:
                kills += self._random_kill()
            time.sleep(TURN)

    def _soon(self, pause: float) -> float:
        return time.monotonic() + self._dice.expovariate(1 / pause)

    def _back(self) -> bool:
        """Tell whether the last victim of a random kill runs again: else nothing would ever get far."""
        if self._victim is not None and self._victim[0].runs(self._victim[1]):
            self._victim = None
        return self._victim is None

    def _queues(self, points: Sequence[str]) -> dict[str, deque[str]]:
        queues: dict[str, deque[str]] = {}
        for name in self._dice.sample(points, len(points)):
            queues.setdefault(self._fleet.home(name)[0][1], deque()).append(name)
        return queues

    def _free(self, process: str) -> Machine | None:
        """Return a machine that runs the process and has nothing armed in it."""
        machines = self._fleet.nodes if process in {"node", "deep"} else [self._fleet.hub]
        free = [one for one in machines if (one.name, process) not in self._armed and one.runs(process)]
        return self._dice.choice(free) if free else None

    def _arm(self, machine: Machine, process: str, point: str, patience: float) -> None:
        self._tries[point] += 1
        before = len(machine.reached(process))
        armed = Armed(point, machine, process, before, time.monotonic() + patience)
        self._armed[machine.name, process] = armed
        machine.arm(process, f"{point}=kill@{self._dice.choice((1, 1, 1, 2, 4))}")
        if point == "ingest.epochs-written":  # it comes with the first rows of a start
            self._kill(self._dice.choice(self._fleet.nodes), "node")

    def _over(self, armed: Armed) -> bool:
        """Tell whether its time is over, in one way or the other; then nothing is armed there any more."""
        if self._died(armed):
            return self._note(armed)
        if time.monotonic() < armed.until:
            return False
        armed.machine.disarm(armed.process)
        return self._note(armed) if self._died(armed) else True

    def _died(self, armed: Armed) -> bool:
        return len(armed.machine.reached(armed.process)) > armed.before

    def _note(self, armed: Armed) -> bool:
        self.points[armed.machine.reached(armed.process)[-1]] += 1
        self.kills[armed.process] += 1
        return True

    def _random_kill(self) -> bool:
        """Kill one process of one machine; return whether it ran."""
        victim = self._dice.choice(VICTIMS)
        machines = self._fleet.nodes if victim in {"node", "deep"} else [self._fleet.hub]
        machine = self._dice.choice(self._fleet.machines if victim == "supervisor" else machines)
        killed = self._kill(machine, victim)
        if killed:
            # of a supervisor's processes, the one that is ready last
            last = "ingest" if machine is self._fleet.hub else "node"
            self._victim = machine, last if victim == "supervisor" else victim
        return killed

    def _kill(self, machine: Machine, process: str) -> bool:
        killed = machine.kill(process)
        if killed:
            self.kills[process] += 1
        return killed

    @property
    def told(self) -> str:
        """What was done, for people."""
        return ", ".join(
            f"{times} times {name}" for name, times in sorted((*self.kills.items(), *self.points.items()))
        )
