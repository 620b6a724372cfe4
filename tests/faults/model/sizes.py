"""Which sizes are explored: small ones at every run, large ones by `./dev soak model`, one a mutant."""

import sys
import time

from .explore import Found, Size, explore
from .world import Rules

CRASHES = ("node killed", "node loses power", "hub killed", "hub loses power", "bus wiped", "bus repeats")
RESTORES = ("lake copied back", "lake RESTOREd", "keep window over")
FORKS = ("disk copied", "disk rolled back", "disk cloned", "node killed")

SMALL = {
    "crashes": Size(CRASHES, events=1, most=2, attempts=0),
    "restores": Size((*RESTORES, "hub loses power"), events=1, most=2),
    "sheds": Size(("rows shed", "hub killed", "bus wiped"), events=2, most=1, attempts=0),
    "two ingests": Size(("hub killed", "bus repeats"), events=1, most=1, ingests=2),
    "forks": Size(FORKS, events=2, most=2, attempts=0, states=3_000),
}
LARGE = {
    "crashes": Size(CRASHES, events=2, most=2),
    "restores": Size((*RESTORES, "hub loses power", "bus wiped"), events=2, most=2),
    "sheds": Size(("rows shed", "hub killed", "bus wiped", "node killed"), events=2, most=2),
    "two ingests": Size(("hub killed", "bus repeats"), events=2, most=1, ingests=2),
    "forks": Size((*FORKS, "keep window over"), events=3, most=3, attempts=0),
}
MUTANTS = {  # each rule of GUARANTEES, and where its absence must be seen
    "ack_after_commit": Size(("node killed",), 1, 1),
    "commit_is_synced": Size(("node loses power",), 1, 1),
    "release_at_return": Size((), 1, 0),
    "epoch_per_start": Size(("disk copied", "disk rolled back"), 2, 2),
    "delete_by_mark": Size(("bus wiped",), 1, 1),
    "attempt_in_id": Size(("lake copied back",), 1, 1),
    "ingest_syncs": Size(("hub loses power", "keep window over"), 1, 2),
    "compare": Size(("bus repeats",), 1, 1),
    "fence": Size((), 1, 0, ingests=2),
    "prior": Size(("bus wiped", "node killed"), 2, 2),
    "nonces": Size(FORKS, 2, 2, attempts=0),
    "generations": Size(("lake copied back",), 1, 1),
    "marks_from_rows": Size(("lake RESTOREd",), 1, 1),
    "side_has_own_mark": Size(("rows shed", "hub killed"), 1, 2),
    "rekey_spares_what_was_taken": Size(
        ("disk copied", "disk cloned", "node killed"), 2, 3, 0, in_order=True
    ),
    "mark_names_nonce": Size(("disk copied", "disk cloned", "keep window over"), 2, 3, 0, in_order=True),
    "ends_known": Size(("disk copied", "disk cloned"), 3, 2, 0, in_order=True),
}


def without(rule: str) -> Rules:
    """Return the design with one rule turned off."""
    return Rules(**{rule: False})


def main(arguments: list[str]) -> int:
    """Explore the large sizes, those that are named or all, and say what was found."""
    bad = 0
    for name, size in LARGE.items():
        if arguments and name not in arguments:
            continue
        started = time.monotonic()
        found = explore(Rules(), size)
        bad += isinstance(found, Found)
        said = f"{found:,} worlds, no promise broken" if isinstance(found, int) else f"BROKEN: {found}"
        print(f"{name}: {said}; {time.monotonic() - started:.0f} s", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
