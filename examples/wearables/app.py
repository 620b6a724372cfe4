"""Watches stream motion; the node spots a stumble and buzzes the watch; the cloud writes reports."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from math import hypot
from pathlib import Path

from msgspec import Struct

from rimward import App, Lake, Stream, mqtt

app = App("wearables", compat="2026-11-01")


class Sample(Struct):  # acceleration as worn, in g
    at: datetime
    x: float
    y: float
    z: float


@app.fact  # only facts cross to the cloud; each is a table in the lake
class Motion(Struct):
    energy: float  # variance of the acceleration within one second, g²
    cadence: int  # steps in it
    posture: str  # the axis that gravity pulls along
    wearer: str = ""  # the stream's key fills it in


@app.fact(priority="critical")
class Impact(Struct):
    wearer: str
    g: float


@app.edge(mqtt("wearers/{wearer}/motion", time="at"), budget="5ms")
def stumble(wearer: str, sample: Sample) -> None:
    if (g := hypot(sample.x, sample.y, sample.z)) > 2.5:
        app.publish(f"wearers/{wearer}/buzz", {"at": sample.at, "g": g})  # at once, cloud or no cloud
        app.forward(Impact(wearer, g))


def summarise(second: Sequence[Sample]) -> Motion:
    g = [hypot(s.x, s.y, s.z) for s in second]
    mean = sum(g) / len(g)
    energy, steps = sum((v - mean) ** 2 for v in g) / len(g), sum(a < mean <= b for a, b in pairwise(g))
    return Motion(energy, steps, max("xyz", key=lambda axis: abs(sum(getattr(s, axis) for s in second))))


@app.stream(mqtt("wearers/{wearer}/motion", time="at"))
def each_second(samples: Stream[Sample]) -> Stream[Motion]:
    return samples.key_by("wearer").tumbling("1s").apply(summarise).forward()


@app.cloud(Motion)
def report(rows: list[Motion], lake: Lake) -> None:
    for wearer in {row.wearer for row in rows}:
        sql = "select count(*) as seconds, sum(cadence) as steps from motion where wearer = $w"
        Path(f"report-{wearer}.txt").write_text(f"{wearer}: {lake.sql(sql, w=wearer).to_pylist()[0]}\n")
