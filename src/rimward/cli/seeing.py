"""What a command sees of a running `rimward dev`, as the console judges it."""

import sqlite3
import time
from typing import Any

from rimward.cli.data import read_json
from rimward.cloud.ingest.figures import read_figures
from rimward.cloud.store import hub_status
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
    link = None
    if uplink:
        up, at = bool(uplink.get("connected")), int(uplink.get("at", 0))
        verdict, denied = str(uplink.get("verdict", "")), str(uplink.get("denied", ""))
        link = Link(up, at, verdict=verdict, denied=denied)
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
        ingest=read_figures(folder.root, processes),
        hub_counts=_counts(folder),
    )  # fmt: skip


def _counts(folder: DataFolder) -> dict[str, int]:
    """Return the hub's figures; none where it has none, or they can't be read now."""
    try:
        return hub_status(folder.root)
    except sqlite3.Error:
        return {}
