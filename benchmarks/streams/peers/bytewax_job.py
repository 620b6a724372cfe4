"""The window job in Bytewax, in one worker: prints one JSON object, ns a reading. Needs no Rimward."""

# Bytewax lives in a virtual environment of its own:
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

import bytewax.operators as op
from benchmarks.streams.job import readings, windows
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.testing import TestingSink, TestingSource, run_main

BATCH = 100  # items that an epoch takes in at once
Folded = tuple[float, int, float]  # sum, count, largest


def read(body: bytes) -> tuple[str, tuple[datetime, float]]:
    """Decode a reading."""
    found = json.loads(body)
    return found["device"], (datetime.fromisoformat(found["at"]), found["celsius"])


def fold(state: Folded, value: tuple[datetime, float]) -> Folded:
    """Take a reading into its window."""
    return state[0] + value[1], state[1] + 1, max(state[2], value[1])


def merge(one: Folded, two: Folded) -> Folded:
    """Take two windows together."""
    return one[0] + two[0], one[1] + two[1], max(one[2], two[2])


def main(count: int) -> None:
    """Run the job."""
    out: list[object] = []
    flow = Dataflow("job")
    source = op.input("in", flow, TestingSource([body for _, body in readings(count)], batch_size=BATCH))
    keyed = op.map("read", source, read)
    clock = EventClock(ts_getter=lambda value: value[0], wait_for_system_duration=timedelta(seconds=2))
    windower = TumblingWindower(length=timedelta(minutes=1), align_to=datetime(2026, 1, 1, tzinfo=UTC))
    folded = fold_window("fold", keyed, clock, windower, lambda: (0.0, 0, -1e300), fold, merge)
    op.output("out", folded.down, TestingSink(out))
    begun = time.process_time_ns()
    run_main(flow)
    took = time.process_time_ns() - begun
    if len(out) != windows(count):
        raise SystemExit(f"{len(out)} windows, {windows(count)} are right")
    print(json.dumps({"job": took / count}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
