"""Two live nodes of one identity, over a real bus: the second stands still, is told so and loses nothing."""

import asyncio
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.cloud.hub_support import hub
from tests.e2e.natsbus import Bus
from tests.edge.deep.test_process import WARM, Writer, deep, status, stored, until

from rimward.cli import main
from rimward.edge.deep import greeting
from rimward.edge.outbox.tending import Tending


@pytest.fixture
def bus(tmp_path: Path) -> Generator[Bus]:
    with Bus(tmp_path / "bus", "node-1") as running:
        yield running


def copied(tmp_path: Path) -> tuple[Writer, Writer]:
    """Return a node's writer and that of a copy of its disk, each with a start of its own."""
    for name in ("first", "hub"):
        (tmp_path / name).mkdir()
    first = Writer(tmp_path / "first")
    first._write(5, ())
    first.core.close()
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    first.start()
    second = Writer(tmp_path / "second")
    second.sent = list(range(100))
    first._write(3, ())
    second._write(4, ())
    return first, second


async def test_the_second_is_quarantined_told_so_and_let_in_by_a_person_with_all_its_rows(
    tmp_path: Path, bus: Bus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(greeting, "EVERY", 0.1)
    monkeypatch.setattr(greeting, "QUARANTINED", 0.1)
    first, second = await asyncio.to_thread(copied, tmp_path)
    folder = tmp_path / "hub"
    tendings = [Tending(writer.core) for writer in (first, second)]

    def tended() -> bool:
        """Do what each outbox's writer does between its commits."""
        for tending in tendings:
            tending.tend()
        return True

    async with hub(bus, folder, WARM) as taking, deep(bus, tmp_path / "first"):
        await until(lambda: stored(folder) == list(range(8)), "the first one's rows")
        async with deep(bus, tmp_path / "second") as process:
            await until(lambda: process.out.verdict == "quarantined", "it is told so")
            await until(lambda: status(tmp_path / "second").get("verdict") == "quarantined", "and says so")
            assert taking.welcoming.quarantined == ["node-1"]
            assert "an outbox is quarantined" in caplog.text
            await first.write(1)
            await until(lambda: stored(folder) == list(range(9)), "the first one goes on")
            assert await asyncio.to_thread(main, ["hub", "release", "node-1", "--data", str(folder)]) == 0
            await until(lambda: tended() and stored(folder) == [*range(9), *range(100, 104)], "rows of both")
            await first.write(1)
            await until(
                lambda: tended() and stored(folder) == [*range(10), *range(100, 104)], "the first's too"
            )
    for writer in (first, second):
        await asyncio.to_thread(writer.core.close)
