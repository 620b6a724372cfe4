"""Processes that are to stand still for a while because somebody asked to see it.

The file says of each kind of fault from and until when it is on, by the wall clock in ns:

    {"hub": {"since": 1795000000000000000, "until": 1795000030000000000}}

It is the supervisor that stops and continues them, so that none is left standing: whoever wrote the file may
die, and with the supervisor all its processes do.
"""

import json
import time
from typing import Any

LOOK = 0.5  # seconds between two looks at the file
KINDS = {"hub": ("hub", "ingest"), "ingest": ("ingest",), "bus": ("bus",)}  # a kind, and whom it stops


def stands_still(name: str, path: str) -> bool:
    """Tell whether a process is to stand still now; a file that makes no sense asks for nothing."""
    group = name.partition("-")[0]  # ingest-2 is one of ingest
    kinds = [kind for kind, names in KINDS.items() if group in names]
    return bool(kinds) and any(_on(_read(path).get(kind)) for kind in kinds)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path) as file:  # noqa: PTH123 -- pathlib would be a tenth of this process's memory
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType] -- JSON: keys are text


def _on(fault: Any) -> bool:
    match fault:
        case {"since": int(since), "until": int(until)}:
            return since <= time.time_ns() < until
        case _:
            return False
