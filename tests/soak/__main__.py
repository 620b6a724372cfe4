"""`./dev soak [SECONDS]` and `./dev soak mutants [NAME…]`."""

import sys

from tests.faults import mutants
from tests.soak import kills

if __name__ == "__main__":
    if sys.argv[1:2] == ["mutants"]:
        sys.exit(mutants.main(sys.argv[2:]))
    sys.exit(kills.main(sys.argv[1:]))
