"""Rows as a few hundred sensors send them: into an outbox, and as JSON."""

import json
import random
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from rimward.edge.config import OutboxConfig
from rimward.edge.outbox import Forward, OutboxCore

NODE, REGION = "node-1", "bench"
SCHEMA = "0123456789abcdef"  # where nobody reads the rows
GROUP = 250  # rows of one commit, as the outbox gathers them under load
BEGIN = 1_790_000_000_000_000_000  # ns, about the year 2026
SENSORS = 300
LARGE = OutboxConfig(max_bytes=16 << 30)


def groups(count: int, chance: random.Random, schema: str = SCHEMA) -> Generator[list[Forward]]:
    """Yield rows of the table `warm` in groups."""
    sensors = [f"sensor-{number:04}" for number in range(SENSORS)]
    now = BEGIN
    for start in range(0, count, GROUP):
        group: list[Forward] = []
        for number in range(start, min(count, start + GROUP)):
            now += chance.randrange(10_000, 200_000)
            values = (
                sensors[chance.randrange(SENSORS)],
                round(20 + 5 * chance.random(), 2),
                round(chance.gauss(50, 3), 1),
                number % 97 == 0,
            )
            event = f"{NODE}/1/{number:x}"
            group.append(
                Forward(
                    "warm", schema, "normal", now, event, now - 3_000_000, None, replayed=False, values=values
                )
            )
        yield group


def fill(data: Path, count: int, chance: random.Random, schema: str = SCHEMA) -> tuple[int, int]:
    """Fill a node's outbox; return the bytes of its rows as CloudEvents and as their devices' JSON alone."""
    (data / "node").mkdir(parents=True, exist_ok=True)
    core = OutboxCore(data / "node" / "outbox.db", time.time_ns, LARGE)
    core._db.execute("pragma synchronous=off")
    events = plain = 0
    for group in groups(count, chance, schema):
        core.commit(group, {}, [])
        sample = group[0]  # the others differ by a digit or two
        events += len(group) * json_size(cloud_event(sample))
        plain += len(group) * json_size(data_of(sample))
    core.close()
    return events, plain


def data_of(row: Forward) -> dict[str, Any]:
    """Return what a device says in a row."""
    return dict(zip(("sensor", "degrees", "humidity", "alarm"), row.values, strict=True))


def cloud_event(row: Forward) -> dict[str, Any]:
    """Return a row as a CloudEvent in JSON, structured mode."""
    return {
        "specversion": "1.0",
        "id": row.event,
        "source": f"/{REGION}/{NODE}",
        "type": "warm",
        "time": "2026-11-26T00:00:00.000000Z",
        "datacontenttype": "application/json",
        "dataschema": f"rimward:{row.schema}",
        "sequence": f"{row.seq}",
        "data": data_of(row),
    }


def json_size(value: object) -> int:
    """Return the bytes of the shortest JSON."""
    return len(json.dumps(value, separators=(",", ":")))
