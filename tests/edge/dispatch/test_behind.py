"""A stream behind a stream when there is no room: what it is given, it is given once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.edge.dispatch.bench import bench, forwarded

from rimward.app.manifest import FactSpec
from rimward.edge.dispatch.keys import StreamsConfig
from rimward.edge.recording.labels import Labels
from rimward.events import OutboxFull

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
STREAMS = """
@app.stream(mqtt("t/{truck}", time="at"))
def means(readings: Stream[Timed]) -> Stream[Mean]:
    windows = readings.key_by("truck").tumbling("1s", lateness="100ms")
    return windows.agg(Mean, mean=("celsius", "mean")).forward()
@app.stream(means)
def pairs(means: Stream[Mean]) -> Stream[Warm]:
    return means.key_by("truck").count_window(2).agg(Warm, celsius=("mean", "max"))
@app.edge(pairs)
def follow(truck: str, warm: Warm) -> None:
    app.publish(f"warm/{truck}", warm.celsius)
@app.stream(means)
def warm(means: Stream[Mean]) -> Stream[Warm]:
    return means.filter(lambda mean: mean.mean > 8).map(warm_of).forward()
def warm_of(mean: Mean) -> Warm:
    return Warm(mean.truck, mean.mean)
"""


def no_room(spec: FactSpec, about: int, values: tuple[object, ...]) -> None:
    raise OutboxFull("outbox: no room")


def at(second: float, celsius: float) -> dict[str, object]:
    return {"celsius": celsius, "at": START + timedelta(seconds=second)}


async def test_what_finds_no_room_goes_on_to_the_streams_behind_at_once_and_only_once(tmp_path: Path) -> None:
    async with bench(tmp_path, STREAMS) as b:
        b.dispatcher.admit = no_room
        for second in range(3):
            await b.message("t/7", at(second + 0.5, 9.0 + second))
        assert b.sent == [("warm/7", b"10.0")], "two means that wait for room make a pair"
    async with bench(tmp_path, STREAMS) as b:
        await b.message("t/7", at(3.5, 5.0))
        await b.message("t/7", at(4.5, 5.0))
        assert b.sent == [("warm/7", b"11.0")], "the third and the fourth alone"
    assert await forwarded(tmp_path) == {"mean": 4, "warm": 3}


async def test_a_value_that_no_key_is_left_for_is_a_dead_letter_of_the_stream_behind(tmp_path: Path) -> None:
    behind = (
        STREAMS.replace(
            'means.key_by("truck").count_window(2).agg(Warm, ',
            'means.key_by("mean").count_window(2).agg(Warm, truck=("truck", "last"), ',
        )
        .replace("truck: str, warm", "warm")
        .replace("warm/{truck}", "warm/{warm.truck}")
    )
    async with bench(tmp_path, behind, streams=StreamsConfig(max_keys=1)) as b:
        tickets = [await b.message("t/7", at(second + 0.5, 1.0 + second)) for second in range(3)]
        assert all(ticket is not None and ticket.refusal is None for ticket in tickets), "the reading is in"
        assert b.dispatcher.streams["pairs"].full == b.outbox.stats()["dead_letters"] == 1


async def test_a_recording_withholds_what_a_stream_behind_a_stream_makes_a_fact_of_its_label(
    tmp_path: Path,
) -> None:
    local = STREAMS.replace("@app.stream(means)\ndef warm", """
@app.fact(locality="eu")
class Local(Struct):
    truck: str
    mean: float
@app.stream(late(means))
def kept(readings: Stream[Timed]) -> Stream[Local]:
    return readings.key_by("truck").count_window(2).agg(Local, mean=("celsius", "max")).forward()
@app.stream(means)
def warm""")  # fmt: skip
    async with bench(tmp_path, f"from rimward import late\n{local}") as b:
        assert Labels(b.app, b.dispatcher, ()).topic("t/7")
        assert not Labels(b.app, b.dispatcher, ("eu",)).topic("t/7")
