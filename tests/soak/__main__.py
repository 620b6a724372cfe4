"""`./dev soak [floods|fuzz|hostile|kills|links|machine|model|mutants|power|trucks] …`; each says more."""

import sys

from tests.faults import mutants
from tests.faults.model import sizes, test_machine
from tests.soak import floods, fuzz, hostile, kills, links, power, trucks

RUNS = {
    "floods": floods.main,
    "fuzz": fuzz.main,
    "hostile": hostile.main,
    "machine": test_machine.main,
    "kills": kills.main,
    "links": links.main,
    "model": sizes.main,
    "mutants": mutants.main,
    "power": power.main,
    "trucks": trucks.main,
}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:] if sys.argv[1:2] and sys.argv[1] in RUNS else ["kills", *sys.argv[1:]]
    sys.exit(RUNS[name](arguments))
