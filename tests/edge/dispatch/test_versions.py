"""Another version of an app takes over between two events: what it finds, and what calls in flight keep."""

import asyncio
from pathlib import Path
from textwrap import dedent

from rimward.app.fresh import load_fresh
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
