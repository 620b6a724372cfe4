"""Links with delay, jitter, loss, rate, reordering, duplicates and outages, between real processes.

    with Emulator(("edge", "cloud"), seed=7) as lab:
        lab.between("edge", "cloud", Direction(delay=0.3, loss=0.3, rate=64_000))
        node = lab.start("edge", [sys.executable, "-m", "rimward", "node", "run", "app.py"])

Each name is a network namespace with one address; what it sends goes through a TUN device into a process of
ours, which delays or drops it and gives it to the other's TUN. Kernels without netem can do it, IPv4 only.
"""

from rimward.lab.emulator.impairment import Direction
from rimward.lab.emulator.namespaces import Emulator, EmulatorError, why_not

__all__ = ["Direction", "Emulator", "EmulatorError", "why_not"]
