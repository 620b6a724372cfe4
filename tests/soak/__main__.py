"""`./dev soak [SECONDS]`, `./dev soak floods|fuzz|links [SECONDS]` and `./dev soak mutants [NAME…]`."""

import sys

from tests.faults import mutants
from tests.soak import floods, fuzz, kills, links

if __name__ == "__main__":
    runs = {"floods": floods.main, "fuzz": fuzz.main, "links": links.main, "mutants": mutants.main}
    run = runs.get(sys.argv[1]) if len(sys.argv) > 1 else None
    sys.exit(kills.main(sys.argv[1:]) if run is None else run(sys.argv[2:]))
