"""Kills by a seed: at every named failpoint, and of any process at random moments, under load."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from .fleet import Fleet, Machine, placed

VICTIMS = ("supervisor", "node", "deep", "hub", "ingest", "bus")
# Not in this run's way: no node is re-keyed, no row is refused, no cloud function or command is there, …
ELSEWHERE = {"outbox.rekeyed", "ingest.side-written"}
PREFIXES = ("outbox.", "uplink.", "deep.", "ingest.")


def failpoints() -> list[str]:
    """Return the names that a run with devices and without other faults comes by."""
    return sorted(name for name in placed() - ELSEWHERE if name.startswith(PREFIXES))


class Chaos:
    """One fleet's misfortune."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        self._dice = random.Random(seed)
        self.kills: Counter[str] = Counter()  # by victim
        self.points: Counter[str] = Counter()  # by failpoint at which a process died

    def random_kill(self) -> None:
        """Kill one process of one machine."""
        victim = self._dice.choice(VICTIMS)
        machines = self._fleet.nodes if victim in {"node", "deep"} else [self._fleet.hub]
        machine = self._dice.choice(self._fleet.machines if victim == "supervisor" else machines)
        self._kill(machine, victim)

    def _kill(self, machine: Machine, process: str) -> None:
        if machine.kill(process):
            self.kills[process] += 1

    def kill_at(self, points: Sequence[str], patience: float) -> None:
        """Arm failpoints, each in a process of its own where there are enough, until all had their turn."""
        armed: dict[tuple[str, str], tuple[Machine, str, int]] = {}
        for point in points:
            free = [home for home in self._fleet.home(point) if (home[0].name, home[1]) not in armed]
            if not free:
                continue
            machine, process = self._dice.choice(free)
            armed[machine.name, process] = (machine, process, len(machine.reached(process)))
            machine.arm(process, f"{point}=kill@{self._dice.choice((1, 1, 1, 2, 4))}")
            if point == "ingest.epochs-written":  # it comes with the first rows of a start
                self._kill(self._dice.choice(self._fleet.nodes), "node")
        end = time.monotonic() + patience
        while armed and time.monotonic() < end:
            time.sleep(0.005)
            for name, (machine, process, before) in tuple(armed.items()):
                if len(machine.reached(process)) > before:
                    self._note(*armed.pop(name)[:2])
        for machine, process, before in armed.values():
            machine.disarm(process)
            if len(machine.reached(process)) > before:  # it died while it was disarmed
                self._note(machine, process)

    def _note(self, machine: Machine, process: str) -> None:
        self.points[machine.reached(process)[-1]] += 1
        self.kills[process] += 1

    def pause(self, most: float) -> None:
        """Let things go on for a while."""
        time.sleep(self._dice.uniform(0.0, most))

    def rounds(self, names: list[str]) -> list[tuple[str, ...]]:
        """Return names in this seed's order, those of different processes together."""
        homes: dict[str, list[str]] = {}
        for name in self._dice.sample(names, len(names)):
            homes.setdefault(self._fleet.home(name)[0][1], []).append(name)
        together = zip_longest(*homes.values())
        return [tuple(name for name in each if name is not None) for each in together]

    @property
    def told(self) -> str:
        """What was done, for people."""
        return ", ".join(
            f"{times} times {name}" for name, times in sorted((*self.kills.items(), *self.points.items()))
        )
