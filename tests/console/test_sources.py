import asyncio
import json
import os
from pathlib import Path

import pytest

from rimward.console.model import Link, Process
from rimward.console.sources import Sources
from rimward.observe import Recorder
from rimward_supervisor.events import write_state

from .samples import NOW, snapshot, trace


def sources(data: Path) -> Sources:
    return Sources(data, lambda: NOW, lambda: 0.0)


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
    figures: dict[str, object] = {"connected": True, "at": NOW, "rtt_ms": 2.5, "errors": {"TimeoutError": 2}}
    write(tmp_path, "node/uplink.json", json.dumps(figures))
    assert sources(tmp_path).look(thorough=False).link == Link(True, NOW, 0.0025, "TimeoutError")


def test_a_link_that_is_down_has_no_round_trip(tmp_path: Path) -> None:
    figures: dict[str, object] = {"connected": False, "at": NOW, "rtt_ms": 2.5, "errors": {}}
    write(tmp_path, "node/uplink.json", json.dumps(figures))
    assert sources(tmp_path).look(thorough=False).link == Link(False, NOW)


def test_the_supervisors_own_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_state(str(tmp_path / "run" / "processes.json"), NOW, [])
    assert sources(tmp_path).look(thorough=False).processes == (
        Process("supervisor", os.getpid(), "ready", 0, NOW),
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"connected": 3}', "\x00\xff"])
@pytest.mark.parametrize("name", ["node/uplink.json", "run/processes.json"])
def test_a_damaged_file_is_named_and_harms_nothing_else(tmp_path: Path, name: str, content: str) -> None:
    write(tmp_path, name, content)
    seen = sources(tmp_path).look(thorough=False)
    assert len(seen.unreadable) == 1
    assert seen.link is None
    assert seen.processes is None
