"""The file is read again when it changes, the clock never goes back, and failures cost time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.edge.access import AccessError, Watch, open_access
from rimward.edge.access.backoff import ADDRESSES, FREE, LONGEST, Backoff
from rimward.edge.access.clock import STEP, TrustedClock, installed_at

from .access_support import NOON, SECOND, House, device, known, off_loop


def opened(path: Path) -> tuple[House, Watch]:
    access, watch = open_access(path, (), lambda: NOON, lambda: NOON)
    assert watch is not None
    house = House("")
    house.access = access
    return house, watch


async def test_a_file_that_changes_is_read_again_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_text(device("truck-1"))
    house, watch = off_loop(lambda: opened(path))
    access = house.access
    assert not await watch.look()
    identity = known(await house.login("truck-1", "secret"))
    path.write_text(device("truck-1", "another") + "# longer")
    assert await watch.look()
    assert access.stats()["reloads"] == 1
    assert not isinstance(access.renew(identity), type(identity))
    assert not await watch.look()
    access.close()


async def test_a_file_that_can_not_be_used_changes_nothing_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "access.toml"
    path.write_text(device("truck-1"))
    house, watch = off_loop(lambda: opened(path))
    book = house.access.book
    path.write_text("this is no TOML")
    assert not await watch.look()
    path.unlink()
    assert not await watch.look()
    assert house.access.book is book
    assert house.access.stats()["reloads_failed"] == 2
    path.write_text(device("truck-2"))
    assert await watch.look()
    house.access.close()


async def test_a_key_that_changes_has_the_file_read_again(tmp_path: Path) -> None:
    path, key = tmp_path / "access.toml", tmp_path / "key"
    key.write_text("s" * 40)
    path.write_text('[[jwt]]\nissuer = "i"\naudience = "a"\n[[jwt.key]]\nfile = "key"\nalgorithm = "HS256"\n')
    house, watch = off_loop(lambda: opened(path))
    assert not await watch.look()
    key.write_text("t" * 41)
    assert await watch.look()
    house.access.close()


def test_a_node_does_not_start_with_a_file_that_can_not_be_used(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="it can't be read"):
        open_access(tmp_path / "none", (), lambda: 0, lambda: 0)


def test_the_credentials_clock_never_goes_back(tmp_path: Path) -> None:
    file, wall = tmp_path / "clock", NOON
    clock = TrustedClock(lambda: wall, file, built=1)
    assert clock() == NOON
    clock.note()
    wall = 5 * SECOND  # the battery is empty
    assert clock() == NOON
    again = TrustedClock(lambda: wall, file, built=1)
    assert again() == NOON, "it is kept over a start"
    wall = NOON + STEP
    again.note()
    assert TrustedClock(lambda: 0, file, built=1)() == NOON + STEP


def test_without_a_clock_of_its_own_the_time_is_that_of_the_installation(tmp_path: Path) -> None:
    assert TrustedClock(lambda: 0, tmp_path / "clock")() == installed_at() > 0
    (tmp_path / "clock").write_text("not a number")
    assert TrustedClock(lambda: NOON, tmp_path / "clock", built=1)() == NOON
    TrustedClock(lambda: NOON, tmp_path / "nowhere" / "clock", built=1).note()


class Fails:
    """Failures of one address at a clock that tests move."""

    def __init__(self) -> None:
        self.now = NOON
        self.backoff = Backoff(lambda: self.now)

    def fail(self, times: int, address: str = "10.0.0.1") -> float:
        for _ in range(times):
            self.backoff.failed(address)
        return self.backoff.wait(address)


def test_the_first_failures_cost_nothing_and_each_one_more_twice_as_much() -> None:
    fails = Fails()
    assert fails.fail(FREE) == 0
    assert [fails.fail(1) for _ in range(4)] == pytest.approx([1, 2, 4, 8], abs=1e-3)
    assert fails.fail(60) == pytest.approx(LONGEST, abs=1e-3)
    assert fails.backoff.wait("10.0.0.2") == 0


def test_failures_are_forgotten_after_a_while() -> None:
    fails = Fails()
    fails.fail(FREE + 1)
    fails.now += 700 * SECOND
    assert fails.fail(FREE) == 0


def test_a_network_of_ipv6_counts_as_one_and_of_ipv4_not() -> None:
    fails = Fails()
    fails.fail(FREE + 1, "2001:db8::1")
    assert fails.backoff.wait("2001:db8::2") > 0
    assert fails.backoff.wait("2001:db8:0:1::1") == 0
    fails.fail(FREE + 1, "10.1.0.1")
    assert fails.backoff.wait("10.1.0.2") == 0
    assert fails.fail(FREE + 1, "fe80::1%eth0") > 0
    assert fails.fail(FREE + 1, "no:address") > 0


@given(st.lists(st.integers(0, 3), max_size=40))
def test_the_memory_of_failures_is_bounded(steps: list[int]) -> None:
    fails = Fails()
    for number, step in enumerate(steps):
        fails.fail(1, f"10.0.0.{step}")
        fails.now += number
    assert len(fails.backoff) <= 4


def test_the_oldest_failures_are_forgotten_where_there_are_too_many() -> None:
    fails = Fails()
    fails.fail(FREE + 1, "10.9.9.9")
    for number in range(ADDRESSES):
        fails.backoff.failed(f"10.{number >> 8}.{number & 255}.1")
    assert len(fails.backoff) == ADDRESSES
    assert fails.backoff.wait("10.9.9.9") == 0
