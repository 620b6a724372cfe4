"""The same code makes the same log of a recording, byte for byte; what other code makes of it is told."""

import asyncio
import random
from datetime import timedelta
from pathlib import Path

import pytest

from rimward import App
from rimward.app.loading import load
from rimward.testing import Site
from rimward.testing.log import Outcome
from rimward.testing.replaying import Tape, drawn, replay
from rimward.wire.recording import (
    Action,
    Answered,
    Asked,
    Begun,
    Body,
    RecordingError,
    Stored,
    decode,
    encode,
)

from .lottery import app
from .taping import taped

SOURCE = Path(__file__).with_name("lottery.py").read_text()


async def play(site: Site, *, tickets: bool = False) -> None:
    """Let all that the app has happen."""
    ann = site.device("ann")
    await ann.publish("bets/ann", {"stake": 2.5, "at": site.now}, qos=1)
    await ann.publish("plain/ann", {"stake": 1})
    await ann.publish("plain/ann", {"stake": "a lot"})
    await site.advance("11s")
    await ann.publish("bets/ann", {"stake": -1, "at": site.now + timedelta(seconds=1)}, qos=1)
    await ann.publish("slow/ann", {"stake": 3}, qos=1)
    await site.http.get("/players/ann")
    await site.http.get("/nowhere")
    if tickets:
        await site.http.post("/tickets", {"stake": 1})
    await site.advance("2m")


async def record(folder: Path, *, tickets: bool = False) -> Path:
    """Return a recording that began when the app had been used before."""
    async with Site(app, data=folder / "site") as site:
        await site.device("bob").publish("bets/ann", {"stake": 1, "at": site.now}, qos=1)
        await site.advance("3s")
        async with taped(site) as tape:
            await play(site, tickets=tickets)
        return tape.path


async def replayed(path: Path, code: App = app, **how: bool) -> Outcome:
    return await replay(code, path, **how)


def changed(folder: Path, old: str, new: str) -> App:
    """Return the app with other code."""
    assert old in SOURCE
    (folder / "other.py").write_text(SOURCE.replace(old, new))
    return load(str(folder / "other.py"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of everything but tickets."""
    return asyncio.run(record(tmp_path_factory.mktemp("recorded")))


async def test_the_code_that_was_recorded_does_the_same_again_to_the_byte(path: Path) -> None:
    random.seed(99)  # wherever this process is with it
    outcome = await replayed(path)
    assert bytes(outcome.log) == bytes(outcome.recorded)
    assert not list(outcome.differences())
    kinds = {type(effect) for number in outcome.log.numbers() for effect in outcome.log.of(number)}
    assert kinds == {Action, Stored, Answered}
    assert outcome.complete
    assert outcome.state == "kept"


async def test_what_a_window_held_and_a_cell_had_is_part_of_it(path: Path) -> None:
    outcome = await replayed(path)
    stored = [effect.values for effect in outcome.log.of(0) if isinstance(effect, Stored)]
    assert stored == [{"player": "ann", "stakes": 3.5}]  # 1 of it came before the recording
    first = outcome.log.of(1)[0]
    assert isinstance(first, Action)
    assert first.payload.text == '{"bets":2,"mood":2}'


async def test_random_bytes_of_the_system_are_the_same_in_each_replay_and_others_on_the_node(
    tmp_path: Path,
) -> None:
    path = await record(tmp_path, tickets=True)
    first, second = await replayed(path), await replayed(path)
    assert bytes(first.log) == bytes(second.log)
    (difference,) = first.differences()
    assert isinstance(difference.event, Asked)
    assert difference.event.path == "/tickets"
    assert not list(first.differences(second.log))


async def test_other_code_is_told_by_what_it_makes_of_which_event(path: Path, tmp_path: Path) -> None:
    other = changed(tmp_path, '"bets": cell.value.bets', '"bets": -cell.value.bets')
    (difference,) = (await replayed(path, other)).differences()
    assert difference.event is not None
    assert difference.event.n == 1
    (gone,), (new,) = difference.gone, difference.new
    assert isinstance(gone, Action)
    assert isinstance(new, Action)
    assert (gone.payload.text, new.payload.text) == ('{"bets":2,"mood":2}', '{"bets":-2,"mood":2}')


async def test_code_that_draws_more_differs_only_there_from_the_code_it_is_held_against(
    path: Path, tmp_path: Path
) -> None:
    other = changed(tmp_path, "    cell.value.bets += 1\n", "    cell.value.bets += random.choice([1])\n")
    with drawn(0):
        outcome = await replayed(path, other, each=True)
    differing = list(outcome.differences((await replayed(path, each=True)).log))
    assert [one.event.n for one in differing if one.event is not None] == [1]  # where it draws once more
    assert len(list(outcome.differences())) > 1


async def test_a_beat_that_only_the_new_code_has_runs_by_the_clock_of_the_replay(
    path: Path, tmp_path: Path
) -> None:
    more = SOURCE + '\n\n@app.edge(every("1m"))\ndef count() -> None:\n    app.publish("minutes", 1)\n'
    (tmp_path / "more.py").write_text(more)
    outcome = await replayed(path, load(str(tmp_path / "more.py")))
    (difference,) = outcome.differences()
    assert difference.event is None
    assert [effect.topic for effect in difference.new if isinstance(effect, Action)] == ["minutes"] * 2


async def test_a_recording_without_its_end_is_replayed_up_to_there(path: Path, tmp_path: Path) -> None:
    def cut() -> Path:
        (tmp_path / "cut.jsonl").write_bytes(path.read_bytes()[:-200])
        return tmp_path / "cut.jsonl"

    outcome = await replayed(cut())
    assert not outcome.complete
    assert len(outcome.log.events) > 5


@pytest.mark.parametrize(
    "lines", [[], [b'{"kind":"begun"'], [encode(Action(0, "a", Body(text="")))], [b"\n"]]
)
async def test_what_is_no_recording_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(RecordingError, match=r"of a recording|it is the first"):
        Tape(decode(lines))


async def test_a_later_version_is_refused_with_both_numbers() -> None:
    begun = encode(Begun(7, "app", "node-1", 0, "", 0, 0))
    with pytest.raises(RecordingError, match="is of version 7, this Rimward reads 1"):
        Tape(decode([begun]))
