"""Power cuts of whole machines: what their processes never synced is gone, of the bus all but an older copy.

`nats-server` makes its system calls itself, so no preloaded library sees what it syncs (docs/adr/0089): after
a cut its store is as it was when the machine was last switched on, as it was left, or gone.
"""

import random
import shutil
from collections import Counter
from pathlib import Path

from .fleet import Fleet, Machine
from .powerloss import Disk

BUS = ("as it was at the last start", "as it was left", "gone")


class Grid:
    """The disks of a fleet's machines, made before the fleet and read when their power is cut."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._dice = random.Random(seed)
        self._disks: dict[str, Disk] = {}
        self.cuts: Counter[str] = Counter()

    def env(self, name: str) -> dict[str, str]:
        """Return what a machine's processes need to be seen."""
        root = self._folder / "fleet" / name
        root.mkdir(parents=True)
        disk = self._disks[name] = Disk(self._folder / f"disk-{name}", root)
        return {key: value for key, value in disk.environment().items() if key in Disk.VARIABLES}

    def switch_on(self, fleet: Fleet) -> None:
        """Count what the fleet wrote before its first start as on the disks."""
        for machine in fleet.machines:
            self._disks[machine.name].adopt()

    def cut(self, *machines: Machine) -> None:
        """Cut the power of machines at one moment, and switch them on again."""
        for machine in machines:
            machine.cut()
        for machine in machines:
            bus, left = machine.folder / "bus", self._folder / "left"
            fate = self._dice.choice(BUS) if bus.exists() else ""
            if fate == "as it was left":
                shutil.copytree(bus, left)
            self._disks[machine.name].lose_power()
            if fate in {"gone", "as it was left"}:
                shutil.rmtree(bus, ignore_errors=True)
            if fate == "as it was left":
                left.rename(bus)
            self.cuts[f"power of {machine.name}" + (f", bus {fate}" if fate else "")] += 1
            machine.start()
        for machine in machines:
            machine.wait()
