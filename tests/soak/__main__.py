"""`./dev soak kills|power|model|floods|fuzz|mutants …`; each module says what it takes."""

import sys

from tests.faults import mutants
from tests.faults.model import sizes
from tests.soak import floods, fuzz, kills, power

RUNS = {
    "floods": floods.main,
    "fuzz": fuzz.main,
    "kills": kills.main,
    "model": sizes.main,
    "mutants": mutants.main,
    "power": power.main,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in RUNS:
        sys.stderr.write(f"usage: ./dev soak {'|'.join(RUNS)} [ARGUMENTS]\n")
        sys.exit(2)
    sys.exit(RUNS[sys.argv[1]](sys.argv[2:]))
