"""Where the node's time comes from: how good it is, what rows are stamped with, and what is told of it."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rimward.edge.access.clock import TrustedClock
from rimward.edge.clock import BEHIND, LOOK, REPEAT, STEP, NodeClock, Sources, Stamp, machine_clock
from rimward.edge.config import OutboxConfig
from rimward.edge.kernel import Discipline, boot_id, boottime
from rimward.edge.outbox import Forward, OutboxCore
from rimward.wire import Row

from .outbox.outbox_support import query

SECOND = 1_000_000_000
YEAR = 365 * 86_400 * SECOND
NOON = 1_795_000_000 * SECOND


class Machine:
    """A machine's clocks, to be turned by hand."""

    def __init__(self, wall: int = NOON, error: int | None = 3_000_000) -> None:
        self.mono, self.set_to, self.slept, self.error = 50 * SECOND, wall - 50 * SECOND, 0, error
        self.asked = 0

    def wall(self) -> int:
        return self.mono + self.slept + self.set_to

    def discipline(self) -> int | None:
        self.asked += 1
        return self.error

    def sources(self) -> Sources:
        return Sources(
            lambda: self.mono, self.wall, lambda: self.mono + self.slept, self.discipline, "boot-1"
        )


def clock(machine: Machine, folder: Path | None = None, built: int = 1) -> NodeClock:
    file = None if folder is None else folder / "clock"
    return NodeClock(machine.sources(), TrustedClock(machine.wall, file, built))


def test_a_disciplined_clock_is_synced_and_its_bound_is_the_kernels() -> None:
    stamp = clock(Machine()).stamp()
    assert (stamp.quality, stamp.believed) == ("synced", True)
    assert stamp.bound is not None
    assert 3_000_000 <= stamp.bound < 10_000_000
    assert stamp.received(50 * SECOND) == NOON


def test_a_clock_that_was_synced_in_this_boot_is_in_holdover_and_its_bound_grows() -> None:
    machine = Machine()
    one = clock(machine)
    synced = one.stamp()
    machine.error, machine.mono = None, machine.mono + 100 * SECOND
    held = one.stamp()
    assert (held.quality, held.believed) == ("holdover", True)
    assert held.bound is not None
    assert synced.bound is not None
    assert held.bound - synced.bound == 50_000_000, "500 ppm of 100 s"


def test_a_clock_that_was_set_by_hand_is_not_in_holdover() -> None:
    machine = Machine()
    one = clock(machine)
    one.stamp()
    machine.error, machine.set_to = None, machine.set_to + YEAR
    assert (one.stamp().quality, one.stamp().bound) == ("unsynced", None)


def test_a_clock_that_nothing_ever_disciplined_is_unsynced_and_is_taken_for_what_it_says() -> None:
    stamp = clock(Machine(error=None)).stamp()
    assert (stamp.quality, stamp.believed, stamp.bound) == ("unsynced", True, None)


@pytest.mark.parametrize("error", [None, 1])
def test_a_clock_below_the_build_time_is_not_believed(error: int | None) -> None:
    stamp = clock(Machine(wall=60 * SECOND, error=error), built=NOON).stamp()
    assert (stamp.quality, stamp.believed, stamp.received(50 * SECOND)) == ("unsynced", False, None)


def test_a_clock_below_the_latest_time_that_is_kept_on_disk_is_not_believed(tmp_path: Path) -> None:
    clock(Machine(), tmp_path).stamp()
    assert (tmp_path / "clock").read_text() == str(NOON)
    assert clock(Machine(NOON - YEAR), tmp_path).stamp().believed is False
    assert clock(Machine(NOON - BEHIND + 1), tmp_path).stamp().believed is True, "a step back by NTP is small"
    assert clock(Machine(NOON + YEAR), tmp_path).stamp().believed is True


def test_a_clock_that_is_not_believed_leaves_the_latest_time_as_it_is(tmp_path: Path) -> None:
    clock(Machine(), tmp_path).stamp()
    clock(Machine(NOON - YEAR), tmp_path).stamp()
    assert (tmp_path / "clock").read_text() == str(NOON)


def test_the_kernel_is_asked_once_a_second_and_at_once_after_a_step() -> None:
    machine = Machine()
    one = clock(machine)
    for _ in range(100):
        one.stamp()
        machine.mono += LOOK // 200
    assert machine.asked == 1
    machine.mono += LOOK
    one.stamp()
    assert machine.asked == 2
    machine.set_to += STEP
    assert one.stamp().offset == machine.wall() - machine.mono
    assert machine.asked == 3


def test_what_a_machine_slept_is_in_its_rows_time() -> None:
    machine = Machine()
    one = clock(machine)
    before = one.stamp()
    machine.slept += 3600 * SECOND
    after = one.stamp()
    assert after.asleep - before.asleep == 3600 * SECOND
    assert after.moved(before) == 0, "a sleep is no step"


def told(folder: Path) -> list[tuple[str, int, int, int | None, str]]:
    """Return the records of `_clock`, oldest first."""
    bodies = query(folder, "select body from chunk where fact = '_clock' order by counter, first")
    return [msgspec.msgpack.decode(body, type=Row).values for (body,) in bodies]


def rows(folder: Path) -> list[Row]:
    return [msgspec.msgpack.decode(b, type=Row) for (b,) in query(folder, WARM)]


WARM = "select body from chunk where fact = 'warm' order by counter, first"


def forward(outbox: OutboxCore, mono: int | None, time: int | None = None) -> None:
    one = Forward("warm", "s1", "normal", 77, "e", time, None, replayed=False, values=(1,), mono=mono)
    outbox.commit([one], {}, [])


def outbox(folder: Path, machine: Machine, one: NodeClock) -> OutboxCore:
    return OutboxCore(folder / "outbox.db", machine.wall, OutboxConfig(), one)


def test_a_boots_offset_is_a_record_of_its_own_and_comes_with_the_first_row(tmp_path: Path) -> None:
    machine = Machine()
    box = outbox(tmp_path, machine, clock(machine))
    box.commit([], {("s", "k"): b"v"}, [])
    assert told(tmp_path) == [], "without rows there is nothing to place"
    forward(box, machine.mono - 5)
    (record,) = told(tmp_path)
    assert record == ("boot-1", 50 * SECOND, NOON, 4_000_000, "synced")
    (row,) = rows(tmp_path)
    assert (row.received, row.mono, row.clock) == (NOON - 5, 50 * SECOND - 5, "synced")
    forward(box, machine.mono)
    assert len(told(tmp_path)) == 1, "once is enough while nothing changes"
    box.close()


def test_the_record_is_repeated_when_quality_changes_the_clock_is_set_or_much_time_passes(
    tmp_path: Path,
) -> None:
    machine = Machine(error=None)
    box = outbox(tmp_path, machine, clock(machine))
    for change in ({"error": 1_000_000}, {"set_to": machine.set_to + 2 * STEP}, {"mono": REPEAT * 2}):
        forward(box, machine.mono)
        machine.mono += LOOK
        for name, value in change.items():
            setattr(machine, name, value)
    forward(box, machine.mono)
    assert [record[4] for record in told(tmp_path)] == ["unsynced", "synced", "synced", "synced"]
    box.close()


def test_rows_of_1970_have_no_time_and_are_placed_by_a_later_record_of_their_boot(tmp_path: Path) -> None:
    machine = Machine(wall=50 * SECOND, error=None)
    box = outbox(tmp_path, machine, clock(machine, built=NOON - YEAR))
    forward(box, machine.mono)
    machine.mono, machine.error, machine.set_to = 60 * SECOND, 1_000_000, NOON
    forward(box, machine.mono)
    first, second = rows(tmp_path)
    assert (first.received, first.clock) == (None, "unsynced")
    assert (second.received, second.clock) == (NOON + 60 * SECOND, "synced")
    _, mono, wall, _, quality = told(tmp_path)[1]
    assert quality == "synced"
    assert first.mono is not None
    assert wall - (mono - first.mono) == NOON + 50 * SECOND
    box.close()


def test_a_row_taken_before_the_clock_was_set_has_the_time_of_after(tmp_path: Path) -> None:
    """Else a row of 1970 would be called synced."""
    machine = Machine(wall=50 * SECOND, error=None)
    box = outbox(tmp_path, machine, clock(machine, built=NOON - YEAR))
    taken = machine.mono
    machine.mono, machine.error, machine.set_to = taken + 1, 1_000_000, NOON
    forward(box, taken)
    (row,) = rows(tmp_path)
    assert (row.received, row.clock) == (NOON + 50 * SECOND, "synced")
    box.close()


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_jump_of_a_year_refuses_nothing_and_keeps_the_order(tmp_path: Path, jump: int) -> None:
    machine = Machine()
    box = outbox(tmp_path, machine, clock(machine))
    forward(box, machine.mono)
    machine.set_to, machine.mono = machine.set_to + jump, machine.mono + 1
    forward(box, machine.mono)
    first, second = rows(tmp_path)
    assert (first.seq, second.seq) == (1, 2)
    assert first.mono is not None
    assert second.mono == first.mono + 1
    box.close()


def test_a_failed_commit_tells_the_record_again(tmp_path: Path) -> None:
    machine = Machine()
    box = outbox(tmp_path, machine, clock(machine))
    huge: Any = {("s", "k"): object()}
    one = Forward("warm", "s1", "normal", 77, "e", None, None, replayed=False, values=(1,), seq=1, mono=1)
    with pytest.raises(Exception, match="type 'object' is not supported"):
        box.commit([one], huge, [])
    forward(box, machine.mono)
    assert len(told(tmp_path)) == 1
    box.close()


def test_without_a_clock_nothing_is_told_and_rows_keep_what_they_say(tmp_path: Path) -> None:
    box = OutboxCore(tmp_path / "outbox.db", lambda: NOON, OutboxConfig())
    forward(box, None)
    (row,) = rows(tmp_path)
    assert (row.received, row.mono, row.clock, told(tmp_path)) == (77, None, "unsynced", [])
    box.close()


def test_this_machines_clocks_are_read() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    stamp: Stamp = machine_clock(time.time_ns, time.monotonic_ns).stamp()
    assert before <= stamp.at + stamp.asleep <= boottime()
    assert stamp.boot == boot_id()
    error = Discipline()()
    assert (stamp.quality == "synced") == (error is not None)
