"""The window job that all do: readings of 100 devices in JSON, of each a tumbling minute of mean and largest.

A reading has its own time; the devices take turns, one reading a second each. Every measurement starts with
the readings as bytes in memory and ends when all windows are out: it is CPU time.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

DEVICES = 100
START = datetime(2026, 1, 1, tzinfo=UTC)


def readings(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield device and payload of each reading."""
    for number in range(count):
        at = START + timedelta(seconds=number // DEVICES)
        device = str(number % DEVICES)
        body = {"device": device, "celsius": 20 + number % 17 / 4, "at": at.isoformat()}
        yield device, json.dumps(body).encode()


def windows(count: int) -> int:
    """Return how many windows there are with all events of `count` readings."""
    return -(-count // DEVICES // 60) * DEVICES
