"""What a kept trace tells: its stages, and what ran while its event waited."""

import time
from pathlib import Path

from rimward.edge.dispatch.tracing import BEHIND
from rimward.edge.dispatch.types import Message, Sender
from rimward.observe import Trace

from .bench import Bench, bench

APP = f"""
import time
from datetime import timedelta
@app.edge(mqtt("slow/{{truck}}"))
def slow(truck: str, reading: Reading) -> None:
    end = time.monotonic_ns() + 2 * {BEHIND}
    while time.monotonic_ns() < end:
        pass
@app.edge(mqtt("quick/{{truck}}"), budget=timedelta(microseconds=1))
def quick(truck: str, reading: Reading) -> None:
    pass
"""


def run(made: Bench, topic: str, read_at: int) -> None:
    """Run an event whose bytes came with a read."""
    made.dispatcher.message(Message(topic, b'{"celsius": 1}', 0, Sender("device", "mqtt5"), read_at))


def stages(trace: Trace) -> dict[str, int]:
    return {stage.name: stage.end - stage.start for stage in trace.stages}


async def test_an_event_that_waited_names_what_ran_before_it(tmp_path: Path) -> None:
    async with bench(tmp_path, APP) as made:
        read_at = time.monotonic_ns()
        run(made, "slow/1", read_at)
        run(made, "slow/2", read_at)
        run(made, "quick/1", read_at)
        trace = made.traces[-1]
        assert (trace.function, trace.over_budget) == ("quick", True)
        found = stages(trace)
        assert found["behind 2 of slow"] >= 4 * BEHIND
        assert found["decode"] >= found["behind 2 of slow"]


async def test_what_ran_before_its_bytes_came_is_not_named(tmp_path: Path) -> None:
    async with bench(tmp_path, APP) as made:
        run(made, "slow/1", time.monotonic_ns())
        run(made, "quick/1", time.monotonic_ns())
        assert made.traces[-1].function == "quick"
        assert not any(name.startswith("behind") for name in stages(made.traces[-1]))
