"""The workers of one function, without any process: who is ended, who is replaced, and when."""

from itertools import count

import pytest

from rimward.edge.functions.link import Link
from rimward.edge.functions.pool import FREE, LONGEST, LOOK, PATIENCE, Bounds, Pool
from rimward.events import RimwardError, WorkerDied
from rimward.wire.functions import Ask, Begin, Command, Confined, Ended, Look, Seen

BOUNDS = Bounds(1, 100, 1 << 20, 1000, 1 << 60, 1 << 40, 10**9)
SEGFAULT = -11


class Machine:
    """Makes no workers, and remembers when it was to."""

    def __init__(self) -> None:
        self.number = count(1).__next__
        self.after: list[float] = []
        self.killed: list[Link] = []

    def fork(self, link: Link, after: float) -> None:
        link.pid = 1
        self.after.append(after)

    def kill(self, link: Link) -> None:
        self.killed.append(link)

    def monotonic(self) -> int:
        return 1

    def wall(self) -> int:
        return 1


class Somebody:
    """Calls, and hears what becomes of it."""

    def __init__(self) -> None:
        self.heard: list[Ended | RimwardError] = []

    def ended(self, ended: Ended) -> None:
        self.heard.append(ended)

    def died(self, error: RimwardError) -> None:
        self.heard.append(error)

    def command(self, command: Command, tell: object) -> None:
        raise AssertionError(command, tell)

    def look(self, look: Look) -> Seen:
        raise AssertionError(look)


def ask() -> Ask:
    return Ask(0, b"1", "json", [], [], 0, "json")


@pytest.fixture
async def machine() -> Machine:
    return Machine()


@pytest.fixture
async def pool(machine: Machine) -> Pool:
    return Pool("f", Begin("f", Confined()), BOUNDS, machine)


def die(pool: Pool, caller: Somebody) -> None:
    """Have the function's worker die of a call."""
    call = ask()
    assert pool.ask("7", call, caller)
    [link] = pool.links
    link.marks[0] = call.number
    link.status = SEGFAULT
    link.close()


async def test_the_next_worker_waits_longer_the_more_have_died_in_a_row(pool: Pool, machine: Machine) -> None:
    caller = Somebody()
    for _ in range(FREE + 9):
        die(pool, caller)
    assert all(isinstance(one, WorkerDied) for one in caller.heard)
    assert machine.after[: FREE + 4] == [0.0] * FREE + [0.01, 0.02, 0.04, 0.08]
    assert machine.after[-1] == LONGEST
    call = ask()
    pool.ask("7", call, caller)
    [link] = pool.links
    pool.done(link.pending.pop(call.number))
    die(pool, caller)
    assert machine.after[-1] == 0.0, "a call was answered meanwhile"
    pool.close()


async def test_a_call_is_not_ended_for_having_waited_for_a_processor(pool: Pool, machine: Machine) -> None:
    pool.ask("7", ask(), Somebody())
    [link] = pool.links
    link.marks[0], link.marks[1] = 1, 0
    second, spent = 10**9, 0

    def at(seconds: float, state: str) -> bool:
        pool.over(round(seconds * second), lambda _: (spent, state))
        return bool(machine.killed)

    assert not at(0.01, "R")
    assert not at(2.0, "R")
    spent = second - LOOK - 1
    assert not at(3.0, "R")
    spent = second
    assert at(3.1, "R"), "it has had its limit's worth"
    link.over = 0
    machine.killed.clear()
    link.marks[0] = 2
    assert not at(1.0, "R")
    assert at(1.1, "S"), "it waits for something else"
    link.over = 0
    machine.killed.clear()
    link.marks[0] = 3
    assert not at(PATIENCE / second, "R")
    assert at(PATIENCE / second + 0.1, "R"), "there is an end to patience"
    pool.close()
