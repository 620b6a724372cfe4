"""What a command sees of a running `rimward dev`, as the console judges it."""

import time
from typing import Any

from rimward.cli.data import read_json
from rimward.console.model import Link, Process, Seen
from rimward.local.folder import DataFolder, alive
from rimward.observe import Snapshot
from rimward.observe.life import HUB, halted, ingest_sign, is_ingest, last_sign


def processes_of(folder: DataFolder) -> dict[str, Any]:
    """Return the processes as their supervisor wrote them down, without the pids of those that are dead."""
    processes = read_json(folder.processes)
    for process in processes.values():
        process["pid"] = process["pid"] if process["pid"] and alive(process["pid"]) else None
    return processes


def seen_of(folder: DataFolder, snapshot: Snapshot | None, processes: dict[str, Any]) -> Seen:
    """Return it as the console judges it."""
    uplink = read_json(folder.uplink)
    link = Link(bool(uplink.get("connected")), int(uplink.get("at", 0))) if uplink else None
    return Seen(
        at=time.time_ns(),
        snapshot=snapshot,
        processes=tuple(
            Process(
                name, one["pid"], one["state"], one["restarts"], one["since"],
                halted=one["pid"] is not None and halted(one["pid"]), over=one.get("over", ""),
            )
            for name, one in processes.items()
            if one["state"] != "ended"  # simulated devices, which may end
        ),
        link=link,
        hub_at=last_sign(folder.root / HUB),
        ingest_at={name: last_sign(folder.root / ingest_sign(name)) for name in processes if is_ingest(name)},
    )  # fmt: skip
