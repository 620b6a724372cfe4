"""Who is moved to a process of its own, why, and for how long that is known."""

import asyncio
import json
from itertools import count
from pathlib import Path

import pytest
from tests.edge.dispatch.bench import Bench, bench

from rimward.app.codes import code_digest
from rimward.edge.functions.placement import Placement, take_deaths
from rimward.edge.functions.placing import Placing

SLOW = """
total = 0
def helper(x: float) -> float:
    return x
@app.edge(mqtt("{d}/slow"), budget="5ms")
def slow(d: str, reading: Reading) -> None:
    helper(reading.celsius)
@app.edge(mqtt("{d}/keeps"), budget="5ms")
def keeps(d: str, reading: Reading) -> None:
    global total
    total += 1
@app.edge(mqtt("{d}/here"), budget="5ms", run="inline")
def here(d: str, reading: Reading) -> None:
    pass
"""


class Clock:
    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now


async def placing_of(b: Bench, folder: Path, clock: Clock | None = None) -> Placing:
    """Return what a start of the node knows of its functions."""
    runs, clock = b.dispatcher.functions, clock or Clock()
    codes = {name: code_digest(run.function.plan.function) for name, run in runs.items()}
    placement = await asyncio.to_thread(Placement, folder / "placement.json", codes, 100)
    made = Placing(b.dispatcher, runs, placement, (3, 60.0), (clock, clock))
    await asyncio.to_thread(made.load, folder / "deaths")
    made.start()
    return made


def death(folder: Path, function: str, event: str = "0000beef") -> None:
    """Write what the supervisor writes of one."""
    line = {"function": function, "digest": event, "cause": "SIGSEGV", "seconds": 0.5, "at": 1}
    with (folder / "deaths").open("a") as file:
        file.write(json.dumps(line) + "\n")


async def test_one_hard_kill_moves_a_function_and_a_restart_remembers_it(tmp_path: Path) -> None:
    async with bench(tmp_path, SLOW) as b:
        death(tmp_path, "slow")
        placing = await placing_of(b, tmp_path)
        assert placing.where() == {"slow": "process", "keeps": "inline", "here": "inline"}
        assert "SIGSEGV" in placing.problems()["function slow"]
        assert await asyncio.to_thread(take_deaths, tmp_path / "deaths") == [], "it is counted once"
    async with bench(tmp_path, SLOW) as b:
        assert (await placing_of(b, tmp_path)).where()["slow"] == "process"


@pytest.mark.parametrize(
    ("old", "new", "moved"),
    [
        ("helper(reading.celsius)", "helper(reading.celsius + 1)", False),
        ("    return x\n", "    return x + 1\n", False),
        ("def helper", "# a comment\n\n\ndef helper", True),
        ("    total += 1", "    total += 2", True),
    ],
)
async def test_a_function_comes_back_when_its_code_is_another(
    tmp_path: Path, old: str, new: str, *, moved: bool
) -> None:
    async with bench(tmp_path, SLOW) as b:
        death(tmp_path, "slow")
        death(tmp_path, "slow")
        assert (await placing_of(b, tmp_path)).where()["slow"] == "process"
        assert b.dispatcher.functions["slow"].killers
    async with bench(tmp_path, SLOW.replace(old, new)) as b:
        assert ((await placing_of(b, tmp_path)).where()["slow"] == "process") is moved
        assert bool(b.dispatcher.functions["slow"].killers) is moved


async def test_only_an_event_that_killed_twice_is_not_run_any_more(tmp_path: Path) -> None:
    for killed, killers in ((("0000beef",), set[int]()), (("0000beef", "00000001"), {0xBEEF})):
        for event in killed:
            death(tmp_path, "slow", event)
        async with bench(tmp_path, SLOW) as b:
            await placing_of(b, tmp_path)
            assert b.dispatcher.functions["slow"].killers == killers
    async with bench(tmp_path, SLOW) as b:
        placing = await placing_of(b, tmp_path)
        placing.died("slow", 1)
        placing.died("slow", 2)
        assert b.dispatcher.functions["slow"].killers == {0xBEEF, 1}


async def test_repeated_overruns_move_what_may_be_moved_and_advise_of_the_rest(tmp_path: Path) -> None:
    clock = Clock()
    async with bench(tmp_path, SLOW) as b:
        placing = await placing_of(b, tmp_path, clock)
        for name in ("slow", "keeps", "here"):
            placing.overran(name)
            placing.overran(name)
        assert placing.problems() == {}
        clock.now += 61 * 10**9
        placing.overran("slow")
        assert placing.where()["slow"] == "inline", "the first two are too old"
        for name in ("slow", "slow", "keeps", "keeps", "keeps", "here", "here", "here"):
            placing.overran(name)
        assert placing.where() == {"slow": "process", "keeps": "inline", "here": "inline"}
        told = placing.problems()
        assert "until its code changes: 3 calls" in told["function slow"]
        assert "keeps globals (total)" in told["function keeps"]
        assert 'run="auto"' in told["function here"]


async def test_a_stopped_function_is_named_and_its_globals_are_as_at_load(tmp_path: Path) -> None:
    clock = Clock()
    keeps = """
seen = {"first": [1]}
last = None
@app.edge(mqtt("{d}/x"))
def keeps(d: str, reading: Reading) -> None:
    global last
    last = d
    seen[d] = [reading.celsius]
    seen["first"].append(2)
"""
    async with bench(tmp_path, keeps) as b:
        placing = await placing_of(b, tmp_path, clock)
        names = b.dispatcher.functions["keeps"].call.__globals__
        seen = names["seen"]
        for _ in range(2):
            await b.message("7/x", {"celsius": 1.0})
            assert (names["last"], seen["7"]) == ("7", [1.0])
            placing.stopped("keeps", "app.py:30 in keeps", 20_000_000)
            assert (names["last"], seen) == (None, {"first": [1]})
            assert names["seen"] is seen
        assert (
            placing.problems()["function keeps"]
            == "was stopped 2 times, last at app.py:30 in keeps after 0.02 s"
        )
        clock.now += 601 * 10**9
        assert placing.problems() == {}


def test_a_file_that_makes_no_sense_or_can_not_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "placement.json"
    path.write_text("{")
    placement = Placement(path, {"f": "code"}, 100)
    assert placement.functions == {}
    path.unlink()
    tmp_path.joinpath("placement.new").mkdir()
    placement.move("f", "process", "why", 1)
    placement.write(placement.encoded())
    assert placement.problem is not None
    assert placement.functions["f"].where == "process"


def test_events_that_killed_are_remembered_up_to_a_limit(tmp_path: Path) -> None:
    placement = Placement(tmp_path / "placement.json", {"f": "code"}, 3)
    for number in count():
        assert placement.killed("f", f"{number:08x}") == 1
        if number == 3:
            break
    assert placement.killed("f", "00000000") == 1, "the oldest was forgotten"
    assert placement.killed("f", "00000003") == 2


def test_a_line_that_was_cut_off_is_no_death(tmp_path: Path) -> None:
    death(tmp_path, "f")
    with (tmp_path / "deaths").open("a") as file:
        file.write('{"function": "g", "dig')
    assert [one.function for one in take_deaths(tmp_path / "deaths")] == ["f"]
