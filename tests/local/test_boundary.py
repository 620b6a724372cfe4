"""The boundary: what crosses, how much a day, and whose word nobody checks; and its drawing."""

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rimward.app.loading import load_manifest
from rimward.app.manifest import Manifest
from rimward.edge.sizes import FactSize
from rimward.local.boundary import DAY, Boundary, Flow, amount, boundary
from rimward.local.drawing import GLYPH, draw

APP = """\
from msgspec import Struct
from rimward import App, Stream, every, http, mqtt
app = App("many & <odd> names", compat="2026-11-01")
class Reading(Struct):
    celsius: float
@app.fact(priority="critical", locality="eu")
class AFactWhoseNameIsLongerThanAnyBoxOfTheDrawing(Struct):
    house: str
@app.fact
class Mean(Struct):
    celsius: float
    house: str = ""
@app.fact(priority="bulk")
class Silent(Struct):
    house: str
@app.edge(mqtt("houses/{house}/floors/{floor}/rooms/{room}/temperature/of/the/air"), budget="5ms")
def a_function_whose_name_is_long_as_well(house: str, floor: int, room: str, reading: Reading) -> None:
    app.forward(AFactWhoseNameIsLongerThanAnyBoxOfTheDrawing(house))
@app.stream(mqtt("houses/{house}"))
def means(readings: Stream[Reading]) -> Stream[Mean]:
    return readings.key_by("house").tumbling("1m").agg(Mean, celsius=("celsius", "mean")).forward()
@app.edge(means)
def seen(mean: Mean) -> None: ...
@app.edge(every("10s"))
def beat() -> None:
    app.forward(Mean(1.0))
@app.edge(http.post("/echo"))
def echo(reading: Reading) -> Reading:
    return reading
@app.cloud(Mean)
def kept(rows: list[Mean]) -> None: ...
"""


HOURS = """
from rimward import late
@app.fact
class Hour(Struct):
    celsius: float
@app.stream(means)
def hours(means: Stream[Mean]) -> Stream[Hour]:
    return means.key_by("house").tumbling("1h").agg(Hour, celsius=("celsius", "mean")).forward()
@app.fact
class Highest(Struct):
    celsius: float
@app.stream(means)
def highest(means: Stream[Mean]) -> Stream[Highest]:
    return means.map(lambda mean: Highest(mean.celsius)).forward()
@app.fact
class Missed(Struct):
    celsius: float
@app.stream(late(means))
def missed(readings: Stream[Reading]) -> Stream[Missed]:
    return readings.map(lambda reading: Missed(reading.celsius)).forward()
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    file = tmp_path_factory.mktemp("boundary") / "app.py"
    file.write_text(APP)
    return load_manifest(str(file))


def flows(found: Boundary) -> dict[str, Flow]:
    return {flow.table: flow for flow in found.flows}


def test_every_fact_is_told_with_label_priority_sources_and_readers(manifest: Manifest) -> None:
    found = flows(boundary(manifest, rate=None, devices=1))
    long = found["a_fact_whose_name_is_longer_than_any_box_of_the_drawing"]
    assert (long.priority, long.label, long.readers) == ("critical", "eu", ())
    assert long.sources == ("a_function_whose_name_is_long_as_well",)
    assert (found["mean"].sources, found["mean"].readers) == (("beat", "means"), ("kept",))
    assert (found["silent"].sources, found["silent"].rows_a_day) == ((), 0.0)


def test_an_estimate_is_a_row_a_message_a_window_a_device_and_a_beat_a_period(manifest: Manifest) -> None:
    found = boundary(manifest, rate=20.0, devices=30)
    assert found.basis.startswith(
        "at most, estimated from the types, for 20 messages a second of each trigger and 30"
    )
    rows = {table: flow.rows_a_day for table, flow in flows(found).items()}
    assert rows["a_fact_whose_name_is_longer_than_any_box_of_the_drawing"] == 20 * DAY
    assert rows["mean"] == pytest.approx((30 / 60 + 1 / 10) * DAY)
    assert flows(boundary(manifest, rate=0.1, devices=30))["mean"].rows_a_day == pytest.approx(0.2 * DAY)
    assert all(flow.bytes_a_day == pytest.approx(flow.rows_a_day * flow.row_bytes) for flow in found.flows)


def test_a_stream_behind_a_stream_is_estimated_by_what_that_gives(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(APP + HOURS)
    found = boundary(load_manifest(str(file)), rate=20.0, devices=30)
    assert flows(found)["hour"].rows_a_day == pytest.approx(30 / 3600 * DAY)
    assert flows(found)["highest"].rows_a_day == pytest.approx(30 / 60 * DAY)
    assert flows(found)["missed"].rows_a_day == 0, "what comes too late is not counted on"


def test_what_was_recorded_is_scaled_to_a_day_unless_a_rate_is_asked_for(manifest: Manifest) -> None:
    recorded = [FactSize("mean", rows=120, bytes=12_000, seconds=600.0)]
    found = boundary(manifest, rate=None, devices=1, recorded=recorded)
    assert found.basis == "recorded: what the outbox took in 10.0 min, as if it went on like that for a day"
    mean = flows(found)["mean"]
    assert (mean.row_bytes, mean.rows_a_day, mean.bytes_a_day) == (100, 120 * 144, 12_000 * 144)
    assert flows(found)["silent"].rows_a_day == 0
    assert boundary(manifest, rate=1.0, devices=1, recorded=recorded).basis.startswith("at most, estimated")


def test_figures_of_a_moment_say_nothing_of_a_day(manifest: Manifest) -> None:
    short = [FactSize("mean", rows=2, bytes=200, seconds=9.0)]
    assert boundary(manifest, rate=None, devices=1, recorded=short).basis.startswith("at most, estimated")


def test_captures_that_nothing_binds_to_the_sender_are_told(manifest: Manifest) -> None:
    found = boundary(manifest, rate=None, devices=1).unbound
    assert [(one.path.partition("/")[0], one.captures, one.functions) for one in found] == [
        ("houses", ("house", "floor", "room"), ("a_function_whose_name_is_long_as_well",)),
        ("houses", ("house",), ("means",)),
    ]


def test_amounts_have_the_unit_that_reads_best() -> None:
    assert [amount(size) for size in (0, 999, 1000, 12_345_678, 2e9, 3.4e12)] == [
        "0 B", "999 B", "1 kB", "12.3 MB", "2 GB", "3.4 TB"
    ]  # fmt: skip


def test_no_text_of_the_drawing_leaves_its_box_or_meets_another(manifest: Manifest) -> None:
    root = ET.fromstring(draw(boundary(manifest, rate=None, devices=1)))
    names = {"svg": "http://www.w3.org/2000/svg"}
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    groups = root.findall("svg:g", names)
    assert len(groups) == 3 + 5 + 3 + 3
    for group in groups:
        box = group.find("svg:rect", names)
        assert box is not None
        x, y, wide, high = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + high <= height
        for text in group.findall("svg:text", names):
            assert x < float(text.attrib["x"])
            assert float(text.attrib["x"]) + GLYPH * len(text.text or "") < x + wide
            assert y < float(text.attrib["y"]) - 9
            assert float(text.attrib["y"]) < y + high
    places = [
        (float(text.attrib["x"]), float(text.attrib["y"]), GLYPH * len(text.text or ""))
        for text in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    for (x1, y1, w1), (x2, y2, w2) in combinations(places, 2):
        assert abs(y1 - y2) >= 12 or x1 + w1 <= x2 or x2 + w2 <= x1


def test_the_drawing_stands_alone_and_knows_dark_pages(manifest: Manifest) -> None:
    drawing = draw(boundary(manifest, rate=None, devices=1))
    assert "prefers-color-scheme:dark" in drawing
    assert not re.findall(r"(?:href|src|url)=?\(?['\"]?https?:", drawing)
    assert "many &amp; &lt;odd&gt; names" in drawing
    assert drawing.count('marker-end="url(#headcross)"') == 3 + 3  # into the network, and out of it


def test_the_drawing_says_how_its_figures_were_found(manifest: Manifest, tmp_path: Path) -> None:
    found = boundary(manifest, rate=None, devices=1)
    text = " ".join(ET.fromstring(draw(found)).itertext())
    assert found.basis[:60] in text
