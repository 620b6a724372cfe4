"""Watches stream motion samples; the node spots a stumble and buzzes the watch; the cloud keeps a report."""

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from rimward import App, Lake, State, Stream, http, mqtt

app = App("wearables", compat="2026-11-01")


class Sample(Struct):  # acceleration in g, as worn
    at: datetime
    x: float
    y: float
    z: float


@app.fact
class Motion(Struct):  # one second of one wearer
    energy: float  # variance of the acceleration, g²
    cadence: float  # steps a second
    posture: str  # the axis that gravity pulls
    wearer: str = ""


@app.fact(priority="critical")
class Impact(Struct):
    wearer: str
    at: datetime
    g: float


@app.state(key="wearer", durable=True)
class Wearer(Struct):
    impacts: int = 0
    strongest: float = 0.0


@app.edge(mqtt("wearers/{wearer}/motion", time="at"), budget="5ms")
def stumble(wearer: str, sample: Sample, state: State[Wearer]) -> None:
    g = math.hypot(sample.x, sample.y, sample.z)
    if g < 2.5:
        return
    app.publish(f"wearers/{wearer}/buzz", {"g": round(g, 2)})  # at once, whatever the cloud does
    state.value = Wearer(state.value.impacts + 1, max(g, state.value.strongest))
    app.forward(Impact(wearer, sample.at, g))


def summarise(second: Sequence[Sample]) -> Motion:
    lengths = [math.hypot(s.x, s.y, s.z) for s in second]
    mean = sum(lengths) / len(lengths)
    steps = sum(a < mean <= b for a, b in zip(lengths, lengths[1:], strict=False))
    pull = {axis: abs(sum(getattr(s, axis) for s in second)) for axis in "xyz"}
    energy = sum((g - mean) ** 2 for g in lengths) / len(lengths)
    return Motion(energy=energy, cadence=float(steps), posture=max(pull, key=lambda axis: pull[axis]))


@app.stream(mqtt("wearers/{wearer}/motion", time="at"))
def each_second(samples: Stream[Sample]) -> Stream[Motion]:
    return samples.key_by("wearer").tumbling("1s").apply(summarise).forward()


@app.edge(http.get("/wearers/{wearer}"))
def latest(state: State[Wearer]) -> Wearer:
    return state.value


@app.cloud(Motion)
def report(rows: list[Motion], lake: Lake) -> None:
    for wearer in {row.wearer for row in rows}:
        q = "select count(*) seconds, avg(energy) energy from motion where wearer = $wearer"
        totals = lake.sql(q, wearer=wearer).to_pylist()[0]
        Path("reports").mkdir(exist_ok=True)
        Path("reports", f"{wearer}.txt").write_text(f"{wearer}: {totals}\n")
