"""The outbox at its rate: what a device waits for its acknowledgement, and how much is durable at most.

Through MQTT it is `rimward dev` on all CPUs and the load client beside it, open-loop at QoS 1; the PUBACK
comes when the fact's row is on disk. The floods offer all events at once to the outbox on a loop.
"""

import tempfile
from pathlib import Path

from benchmarks.deep.writer import run
from benchmarks.report import Bar, Figure, single
from benchmarks.rig.native import Load, drive
from benchmarks.rig.processes import BenchError
from benchmarks.rig.servers import rimward

RATE = 5_000  # durable events a second
DEVICES = 64
APP = """from msgspec import Struct

from rimward import App, mqtt

app = App("outbox", compat="2026-11-01")


class Reading(Struct):
    celsius: float
    place: str


@app.fact
class Warm(Struct):
    device: str
    celsius: float
    place: str


@app.edge(mqtt("bench/{device}/reading"))
def keep(device: str, reading: Reading) -> None:
    app.forward(Warm(device, reading.celsius, reading.place))
"""


def through_mqtt(rounds: int, seconds: float) -> list[Figure]:
    """Measure acknowledgements at the rate, a fresh site each round.

    Raises:
        BenchError: the site does not start, or an event was never acknowledged.
    """
    load = Load(DEVICES, 1, 1, RATE, 2000, round(seconds * 1000), acknowledged=True)
    rates, p50s, p99s = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            app = Path(scratch) / "app.py"
            app.write_text(APP)
            with rimward(app=app, probe=False, cpu=None) as server:
                result = drive(server.port, load)
        if result.lost:
            raise BenchError(f"{result.lost} events were not acknowledged")
        rates.append(result.events / result.seconds)
        p50s.append(result.p50 / 1e6)
        p99s.append(result.p99 / 1e6)
    return [
        single("durable events by MQTT", "/s", rates, Bar(">=", 0.99 * RATE), f"{RATE:,} a second offered"),
        single("their acknowledgement, p50", "ms", p50s),
        single("their acknowledgement, p99", "ms", p99s, Bar("<=", 15)),
    ]


def on_a_loop(rounds: int, seconds: float) -> list[Figure]:
    """Measure the outbox alone: at the rate, and flooded."""
    more = ["--seconds", str(seconds)]
    paced = [run(["--one", "thread", str(RATE), *more], {}) for _ in range(rounds)]
    flooded = [run(["--one", "thread", "0", *more], {}) for _ in range(rounds)]
    return [
        single("the outbox alone at the rate, p99", "ms", [one["ack_p99_ms"] for one in paced]),
        single("durable events, batched", "/s", [one["done_per_s"] for one in flooded], Bar(">=", 50_000)),
    ]


def figures(rounds: int) -> list[Figure]:
    """Measure both."""
    return through_mqtt(rounds, 8.0) + on_a_loop(rounds, 4.0)
