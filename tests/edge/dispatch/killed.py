"""A process with a stream, to be killed: for each line of input one says that it is on disk.

Lines that begin with `{` are what the stream gave.
"""

import asyncio
import sys
from pathlib import Path

import msgspec
from tests.edge.dispatch.bench import bench

STREAM = """
@app.stream(mqtt("t/{truck}", time="at"))
def means(readings: Stream[Timed]) -> Stream[Mean]:
    steps = readings.key_by("truck").change("celsius")
    return steps.sliding("2s", every="1s", lateness="100ms").agg(Mean, mean=("celsius", "mean")).forward()
@app.edge(means)
def follow(mean: Mean) -> None:
    app.publish("mean", mean)
"""


async def main(folder: Path) -> None:
    """Feed what comes until the input ends."""
    async with bench(folder, STREAM) as b:
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            await b.message("t/7", msgspec.json.decode(line))
            for _, payload in b.sent:
                print(payload.decode())
            b.sent.clear()
            print("on disk", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
