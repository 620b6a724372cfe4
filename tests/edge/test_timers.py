"""Pending timers on clocks of the test: over restarts and boots, and with a wall clock that is wrong."""

from collections.abc import Callable

import pytest

from rimward.edge.clock import NodeClock, Sources
from rimward.edge.timers import Pending, Timers
from rimward.events import TimersFull

SECOND = 1_000_000_000
NOON = 1_800_000_000 * SECOND


class Seen:
    """The latest time that was ever seen, as a file would keep it."""

    def __init__(self, wall: Callable[[], int]) -> None:
        self.wall = wall
        self.latest = 0

    def __call__(self) -> int:
        self.latest = max(self.latest, self.wall())
        return self.latest

    def note(self) -> None:
        """It is kept already."""


class Machine:
    """A machine with a boot and two clocks, and a disk for one function's timers."""

    def __init__(self) -> None:
        self.boot, self.count, self.wall = "first", 100 * SECOND, NOON
        self.seen = Seen(lambda: self.wall)
        self.disk: dict[str, bytes] = {}

    def passes(self, seconds: float) -> None:
        self.count += round(seconds * SECOND)
        self.wall += round(seconds * SECOND)

    def reboots(self, off: float = 0.0, wall: int | None = None) -> Timers:
        """Be off for some seconds and start again; `wall` is what its clock says then."""
        self.passes(off)
        self.boot, self.count = "second", 7 * SECOND
        self.wall = self.wall if wall is None else wall
        return self.starts()

    def starts(self) -> Timers:
        sources = Sources(lambda: self.count, lambda: self.wall, lambda: self.count, lambda: None, self.boot)
        timers = Timers(NodeClock(sources, self.seen))
        timers.restore("late", self.disk)
        return timers

    def set(self, timers: Timers, key: str, seconds: float) -> Pending:
        timer = timers.made("late", key, f"id-{key}", round(seconds * SECOND))
        timers.put("late", key, timer)
        self.disk[key] = timers.kept(timer)
        return timer


def left(machine: Machine, timers: Timers) -> float | None:
    """Return the seconds until the first is due."""
    due = timers.due()
    return None if due is None else (due - machine.count) / SECOND


def test_a_timer_is_due_by_a_clock_that_nobody_can_set() -> None:
    machine = Machine()
    timers = machine.starts()
    machine.set(timers, "7", 120)
    machine.wall += 3600 * SECOND
    machine.passes(119)
    assert (left(machine, timers), timers.ripe(10)) == (1, [])
    machine.passes(1)
    assert [timer.key for timer in timers.ripe(10)] == ["7"]


def test_a_restart_of_the_process_changes_nothing_whatever_the_wall_clock_says() -> None:
    machine = Machine()
    machine.set(machine.starts(), "7", 120)
    machine.passes(20)
    machine.wall -= 50 * 365 * 86_400 * SECOND
    assert left(machine, machine.starts()) == 100


def test_a_reboot_counts_the_time_that_the_machine_was_off() -> None:
    machine = Machine()
    machine.set(machine.starts(), "7", 120)
    assert left(machine, machine.reboots(off=50)) == 70
    assert left(machine, machine.reboots(off=500)) == 0


def test_a_clock_of_1970_fires_nothing_early_and_loses_nothing() -> None:
    machine = Machine()
    machine.set(machine.starts(), "7", 120)
    machine.seen()
    timers = machine.reboots(off=50, wall=0)
    assert left(machine, timers) == 120  # from the latest time that was seen: late, not early
    machine.passes(30)
    assert left(machine, timers) == 90
    machine.wall = NOON + 80 * SECOND  # the clock is set: 50 off and 30 on
    assert list(timers.follow_wall_clock()) == []  # the disk has it right
    assert left(machine, timers) == 40


def test_a_timer_that_was_set_by_a_clock_of_1970_gets_its_time_when_the_clock_is_set() -> None:
    machine = Machine()
    machine.seen()
    machine.wall = 0
    timers = machine.starts()
    timer = machine.set(timers, "7", 120)
    assert timer.wall is None
    assert left(machine, machine.reboots()) == 120  # it begins anew: never early
    machine.boot, machine.count = "first", 100 * SECOND
    machine.wall = NOON + 30 * SECOND
    [moved] = timers.follow_wall_clock()
    machine.disk["7"] = timers.kept(moved)
    assert left(machine, machine.reboots(off=50)) == 70


def test_a_clock_that_jumps_takes_the_times_on_disk_along() -> None:
    machine = Machine()
    timers = machine.starts()
    machine.set(timers, "7", 120)
    list(timers.follow_wall_clock())
    machine.wall -= 40 * SECOND
    [moved] = timers.follow_wall_clock()
    machine.disk["7"] = timers.kept(moved)
    assert list(timers.follow_wall_clock()) == []
    assert left(machine, machine.reboots(off=50)) == 70


def test_no_clock_makes_a_timer_wait_for_longer_than_its_delay() -> None:
    machine = Machine()
    machine.wall += 1000 * SECOND  # ahead when it is set
    machine.set(machine.starts(), "7", 120)
    machine.seen.latest = 0
    assert left(machine, machine.reboots(wall=NOON)) == 120


def test_those_longest_due_come_first_and_no_more_than_are_asked_for() -> None:
    machine = Machine()
    timers = machine.starts()
    for key, delay in (("b", 2), ("a", 1), ("c", 3)):
        machine.set(timers, key, delay)
    machine.passes(10)
    assert [timer.key for timer in timers.ripe(2)] == ["a", "b"]
    assert [timer.key for timer in timers.ripe(2)] == ["c"]


def test_beyond_the_limit_a_new_key_is_refused_and_a_pending_one_may_be_moved() -> None:
    machine = Machine()
    timers = machine.starts()
    timers.limit = 2
    for key in ("a", "b"):
        timers.admit("late", key)
        machine.set(timers, key, 60)
    timers.admit("late", "a")
    with pytest.raises(TimersFull, match="2 timers are pending, the limit is 2"):
        timers.admit("late", "c")


def test_a_timer_that_is_moved_all_the_time_takes_no_more_memory() -> None:
    machine = Machine()
    timers = machine.starts()
    for _ in range(1000):
        machine.set(timers, "7", 60)
        machine.passes(1)
    assert len(timers) == 1
    assert len(timers._queues["late"]._heap) < 50
    assert left(machine, timers) == 59


def test_a_firing_that_was_refused_is_tried_again_after_longer_and_longer_pauses() -> None:
    machine = Machine()
    timers = machine.starts()
    timer = machine.set(timers, "7", 60)
    pauses: list[float | None] = []
    for _ in range(8):
        timers.put("late", "7", None)
        timers.again(timer)
        pauses.append(left(machine, timers))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
