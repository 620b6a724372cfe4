"""Another version of an app takes over between two events: what it finds, and what calls in flight keep."""

import asyncio
import gc
import weakref
from pathlib import Path
from textwrap import dedent

from rimward.app.fresh import forget_types, load_fresh
from rimward.edge.dispatch.version import Version

from .bench import HEAD, Bench, bench

WIDER = HEAD.replace("count: int = 0", "count: int = 0\n    more: str = 'x'")
COUNT = """
@app.edge(mqtt("t/{truck}"))
def count(truck: str, state: State[Truck], reading: Reading) -> None:
    state.value.count += 1
    app.publish(f"c/{truck}", str(state.value.count))
"""


def turn(b: Bench, folder: Path, functions: str, head: str = HEAD) -> None:
    """Save an app's file, and have the dispatcher go over to it."""
    app, _ = load_fresh(saved(folder, functions, head))
    b.dispatcher.turn(Version(app, None, b.dispatcher.site, b.dispatcher.version))


def saved(folder: Path, functions: str, head: str) -> str:
    (folder / "app.py").write_text(head + dedent(functions))
    return str(folder / "app.py")


async def test_the_next_event_meets_the_new_code_and_the_cells_of_the_old(tmp_path: Path) -> None:
    async with bench(tmp_path, COUNT) as b:
        await b.message("t/7", {"celsius": 1})
        turn(
            b,
            tmp_path,
            COUNT.replace("+= 1", "+= 10"),
            WIDER,
        )
        await b.message("t/7", {"celsius": 1})
        await b.message("t/8", {"celsius": 1})
        assert b.sent == [("c/7", b"1"), ("c/7", b"11"), ("c/8", b"10")]
        assert b.dispatcher.events == 3
        assert b.dispatcher.functions["count"].figures.calls == 3


async def test_a_topic_on_the_fast_lane_meets_the_new_code(tmp_path: Path) -> None:
    plain = """
    @app.edge(mqtt("t/{truck}"))
    def guard(truck: str, reading: Reading) -> None:
        app.publish(f"c/{truck}", "first")
    """
    async with bench(tmp_path, plain) as b:
        await b.message("t/7", {"celsius": 1}, reply=False)
        turn(b, tmp_path, plain.replace("first", "second"))
        await b.message("t/7", {"celsius": 1}, reply=False)
        assert [payload for _, payload in b.sent] == [b"first", b"second"]


async def test_a_call_in_flight_ends_on_the_old_code_and_its_state_is_the_new_codes(tmp_path: Path) -> None:
    old = """
    gate = asyncio.Event()
    @app.edge(mqtt("t/{truck}"))
    async def count(truck: str, state: State[Truck], reading: Reading) -> None:
        await gate.wait()
        state.value.count += 1
        app.forward(Warm(truck, reading.celsius))
        app.publish(f"c/{truck}", f"old {state.value.count}")
    """
    new = """
    @app.edge(mqtt("t/{truck}"))
    def count(truck: str, state: State[Truck], reading: Reading) -> None:
        state.value.count += 1
        app.publish(f"c/{truck}", f"new {state.value.count}")
    """
    async with bench(tmp_path, old) as b:
        gate = b.app.edge_functions[0].plan.function.__globals__["gate"]
        first = asyncio.create_task(b.message("t/7", {"celsius": 9}))
        await asyncio.sleep(0)
        turn(b, tmp_path, new)
        second = asyncio.create_task(b.message("t/7", {"celsius": 9}))
        await asyncio.sleep(0)
        assert b.sent == []
        gate.set()
        tickets = await asyncio.gather(first, second)
        assert [ticket.refusal for ticket in tickets if ticket is not None] == [None, None]
        assert [payload for _, payload in b.sent] == [b"old 1", b"new 2"]
        assert b.dispatcher.counters["forwards"] == 1


async def test_a_message_that_has_not_begun_begins_on_the_new_code(tmp_path: Path) -> None:
    slow = """
    gate = asyncio.Event()
    @app.edge(mqtt("t/{truck}"))
    async def count(truck: str, state: State[Truck], reading: Reading) -> None:
        await gate.wait()
        state.value.count += 1
        app.publish(f"c/{truck}", f"old {state.value.count}")
    """
    async with bench(tmp_path, slow) as b:
        gate = b.app.edge_functions[0].plan.function.__globals__["gate"]
        waiting = [asyncio.create_task(b.message("t/7", {"celsius": 9})) for _ in range(3)]
        await asyncio.sleep(0)
        turn(b, tmp_path, COUNT)
        gate.set()
        await asyncio.gather(*waiting)
        assert [payload for _, payload in b.sent] == [b"old 1", b"2", b"3"]


STREAM = """
@app.stream(mqtt("w/{truck}", time="at"))
def means(readings: Stream[Timed]) -> Stream[Mean]:
    return readings.key_by("truck").tumbling("1m").agg(Mean, mean=("celsius", "mean"))
@app.edge(means)
def told(mean: Mean) -> None:
    app.publish(f"m/{mean.truck}", f"first {mean.mean}")
"""


async def test_a_window_goes_on_and_what_it_gives_meets_the_new_code(tmp_path: Path) -> None:
    async with bench(tmp_path, STREAM) as b:
        for second, celsius in ((1, 2.0), (2, 4.0)):
            await b.message("w/7", {"celsius": celsius, "at": f"2026-11-26T08:00:0{second}Z"})
        turn(b, tmp_path, STREAM.replace("first", "second"))
        await b.message("w/7", {"celsius": 9.0, "at": "2026-11-26T08:00:03Z"})
        await b.message("w/7", {"celsius": 0.0, "at": "2026-11-26T08:02:00Z"})
        assert b.sent == [("m/7", b"second 5.0")]
        assert len(b.dispatcher.streams["means"].keys) == 1


TIMERS = """
from rimward import timer, cron
@app.edge(mqtt("t/{truck}"))
def count(truck: str, state: State[Truck], reading: Reading) -> None:
    state.value.count += 1
    state.after("10s", later)
@app.edge(timer(Truck))
def later(truck: str, state: State[Truck]) -> None:
    app.publish(f"c/{truck}", f"first {state.value.count}")
@app.edge(every("1s"))
def ticks() -> None: ...
@app.edge(cron("0 3 * * *"))
def nightly() -> None: ...
"""


async def test_a_timer_fires_in_the_new_code_at_its_old_time(tmp_path: Path) -> None:
    async with bench(tmp_path, TIMERS) as b:
        firing = b.dispatcher.firing
        firing.look()
        await b.message("t/7", {"celsius": 1})
        due, told = firing.timers.due(), firing.told()["nightly"]
        turn(b, tmp_path, TIMERS.replace("first", "second").replace('every("1s")', 'every("2s")'))
        assert (firing.timers.due(), firing.told()["nightly"]) == (due, told)
        assert [(run.name, period) for run, period in b.dispatcher.beats] == [("ticks", 2.0)]
        pending = firing.timers.find("later", "7")
        assert pending is not None
        firing._fire(pending)
        assert b.sent == [("c/7", b"second 1")]


async def test_timers_of_a_function_that_is_gone_rest_until_it_is_back(tmp_path: Path) -> None:
    without = TIMERS.replace('    state.after("10s", later)\n', "").replace("@app.edge(timer(Truck))\n", "")
    async with bench(tmp_path, TIMERS) as b:
        await b.message("t/7", {"celsius": 1})
        due = b.dispatcher.firing.timers.due()
        turn(b, tmp_path, without)
        assert b.dispatcher.firing.timers.due() is None
        turn(b, tmp_path, TIMERS)
        assert b.dispatcher.firing.timers.due() == due


async def test_a_version_that_has_ended_leaves_nothing_in_memory(tmp_path: Path) -> None:
    async with bench(tmp_path, COUNT + STREAM) as b:
        for _ in range(3):
            turn(b, tmp_path, COUNT + STREAM)
            await b.message("t/7", {"celsius": 1})
            await b.message("w/7", {"celsius": 1.0, "at": "2026-11-26T08:00:01Z"})
        gone = weakref.ref(b.dispatcher.version.app.edge_functions[0].plan.function)
        turn(b, tmp_path, COUNT + STREAM)
        await b.message("t/7", {"celsius": 1})
        await b.message("w/7", {"celsius": 1.0, "at": "2026-11-26T08:00:01Z"})
        b.dispatcher.facts = b.dispatcher.version.facts
        forget_types()
        gc.collect()
        assert gone() is None
