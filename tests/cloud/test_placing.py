"""When an event was, derived from the records of its boot's clock: with bounds, or unknown."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from rimward.cloud.lake.query import query
from rimward.events import from_ns
from rimward.wire import Row
from rimward.wire.system import CLOCK

from .cloud_support import NOW, envelope, ingest

SECOND = 1_000_000_000


def took(lake: Any, mono: int | None, counter: int = 1) -> None:
    """Store a row that was taken at a monotonic time."""
    made = envelope(1, 1, (counter, 0xA))
    row = Row(1, None, "e", None, "unsynced", replayed=False, trace=None, values=(1, "x"), mono=mono)
    made.rows = msgspec.msgpack.encode([row])
    lake.take("warm", [made])


def told(lake: Any, *records: tuple[str, int, int, int | None, str], counter: int = 1) -> None:
    """Store records of a clock: boot, mono, wall, bound, quality."""
    made = envelope(1, len(records), (counter, 0xA), fact=CLOCK)
    rows = [
        Row(seq, None, "c", None, one[4], replayed=False, trace=None, values=one, mono=one[1])
        for seq, one in enumerate(records, 1)
    ]
    made.rows = msgspec.msgpack.encode(rows)
    lake.take("_clock", [made])


def placed(folder: Path) -> list[tuple[Any, Any]]:
    table = query(folder / "lake", "select _event_at, _event_at_bound from timed.warm order by _epoch, _seq")
    return [(row["_event_at"], row["_event_at_bound"]) for row in table.to_pylist()]


def test_a_row_of_1970_is_placed_by_a_record_that_came_later(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    took(lake, 50 * SECOND)
    told(
        lake,
        ("boot-1", 40 * SECOND, 40 * SECOND, None, "unsynced"),
        ("boot-1", 60 * SECOND, NOW, 2_000_000, "synced"),
    )
    ((at, bound),) = placed(tmp_path)
    assert at == from_ns(NOW) - timedelta(seconds=10)
    assert bound == 0.002 + 10 * 500e-6


def test_a_record_of_a_later_start_in_the_same_boot_places_it_too(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    took(lake, 50 * SECOND)
    told(lake, ("boot-1", 40 * SECOND, 40 * SECOND, None, "unsynced"))
    told(lake, ("boot-1", 60 * SECOND, NOW, 2_000_000, "synced"), counter=2)
    ((at, _),) = placed(tmp_path)
    assert at == from_ns(NOW) - timedelta(seconds=10)


def test_of_two_records_that_place_a_row_the_closer_bound_counts(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    took(lake, 50 * SECOND)
    told(
        lake,
        ("boot-1", 40 * SECOND, NOW, 90_000_000, "synced"),
        ("boot-1", 60 * SECOND, NOW + 21 * SECOND, 1_000_000, "synced"),
    )
    assert placed(tmp_path) == [(from_ns(NOW) + timedelta(seconds=11), 0.001 + 10 * 500e-6)]


def test_what_nobody_can_know_is_unknown(tmp_path: Path) -> None:
    lake = ingest(tmp_path)
    took(lake, None)
    assert placed(tmp_path) == [(None, None)], "no record, and no monotonic time"
    took(lake, 50 * SECOND, counter=2)
    told(lake, ("boot-1", 40 * SECOND, NOW, None, "unsynced"), counter=2)
    assert placed(tmp_path) == [(None, None)] * 2, "no record of that boot has a bound"
    told(lake, ("boot-2", 60 * SECOND, NOW, 1, "synced"), counter=3)
    assert placed(tmp_path) == [(None, None)] * 2, "another boot's clock says nothing of it"
