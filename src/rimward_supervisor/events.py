"""What the supervisor tells: events as JSON lines on its standard output, and a file with the pids."""

import json
import os
import sys
from contextlib import suppress
from typing import Any

from rimward_supervisor.child import Child


def tell(event: str, **fields: Any) -> None:
    """Write one event; nobody listening is no reason to fail."""
    line = json.dumps({"event": event, **fields}) + "\n"
    try:
        os.write(1, line.encode())
    except OSError:  # whoever started us is gone; the end of standard input says so too
        with suppress(OSError):  # a log on a full disk
            sys.stderr.write(line)


def write_state(path: str, since: int, children: list[Child]) -> str:
    """Replace the state file: name -> pid, state, restarts, since (wall ns); return why that failed."""
    state: dict[str, dict[str, Any]] = {
        "supervisor": {"pid": os.getpid(), "state": "ready", "restarts": 0, "since": since}
    }
    for child in children:
        state[child.name] = {
            "pid": child.pid,
            "state": child.state,
            "restarts": child.restarts.count,
            "since": child.since,
        }
        if child.watch is not None and child.watch.runs:
            state[child.name]["over"] = child.watch.runs  # the function that runs past its time
    fresh = f"{path}.{os.getpid()}"
    try:
        with open(fresh, "w") as file:  # noqa: PTH123 -- pathlib would be a tenth of this process's memory
            json.dump(state, file)
        os.replace(fresh, path)  # noqa: PTH105 -- as above
    except OSError as error:  # a full disk must not stop the supervision
        with suppress(OSError):
            os.unlink(fresh)  # noqa: PTH108 -- as above
        return error.strerror or str(error)
    return ""


def remove_state(path: str) -> None:
    """Take the state file away: nothing runs any more."""
    try:
        os.unlink(path)  # noqa: PTH108 -- pathlib would be a tenth of this process's memory
    except OSError:
        return
