import asyncio
from pathlib import Path

import pytest

from rimward.console.sources import Sources
from rimward.observe import Recorder

from .samples import NOW, snapshot, trace


def sources(data: Path) -> Sources:
    return Sources(data, lambda: NOW)


def write(data: Path, name: str, content: str) -> None:
    (data / name).parent.mkdir(exist_ok=True)
    (data / name).write_text(content)


def test_an_empty_folder_is_seen_as_nothing_and_not_as_an_error(tmp_path: Path) -> None:
    seen = sources(tmp_path).look(thorough=True)
    assert (seen.snapshot, seen.traces, seen.processes, seen.link) == (None, (), None, None)
    assert seen.unreadable == ()


async def test_what_a_node_recorded_is_seen(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    async with Recorder(tmp_path / "node" / "trace.db", snapshot) as recorder:
        recorder.keep(trace())
    seen = await asyncio.to_thread(sources(tmp_path).look, thorough=False)
    assert seen.snapshot == snapshot()
    assert seen.traces == (trace(),)


def test_the_uplinks_figures_are_seen(tmp_path: Path) -> None:
    write(tmp_path, "node/uplink.json", f'{{"connected": true, "at": {NOW}, "rtt": 0.002}}')
    link = sources(tmp_path).look(thorough=False).link
    assert link is not None
    assert (link.connected, link.rtt) == (True, 0.002)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"connected": 3}', "\x00\xff"])
@pytest.mark.parametrize("name", ["node/uplink.json", "run/processes.json"])
def test_a_damaged_file_is_named_and_harms_nothing_else(tmp_path: Path, name: str, content: str) -> None:
    write(tmp_path, name, content)
    seen = sources(tmp_path).look(thorough=False)
    assert len(seen.unreadable) == 1
    assert seen.link is None
    assert seen.processes is None
