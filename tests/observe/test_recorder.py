import asyncio
import io
import sqlite3
from collections.abc import Callable
from pathlib import Path

from rimward.observe import Recorder, Snapshot, configure, read_snapshot, read_trace, recent_traces
from rimward.observe.store import TraceStore

from .samples import snapshot, trace


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (a thread works; it counts, it does not signal)
            await asyncio.sleep(0.001)


async def test_traces_and_the_newest_snapshot_are_written_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    made = 0

    def figures() -> Snapshot:
        nonlocal made
        made += 1
        return snapshot(at=made)

    async with Recorder(path, figures, period=0.01) as recorder:
        recorder.keep(trace(1))
        await until(lambda: recorder.stats()["written"] == 1)
        assert await asyncio.to_thread(read_trace, path, "last") == trace(1)
        await until(lambda: made > 2)
    newest = await asyncio.to_thread(read_snapshot, path)
    assert newest is not None
    assert newest.at == made
    assert recorder.problem is None


async def test_what_waits_at_the_end_is_written(tmp_path: Path) -> None:
    async with Recorder(tmp_path / "trace.db", snapshot, period=3600) as recorder:
        for n in range(3000):
            recorder.keep(trace(n))
    assert recorder.stats()["written"] == 3000
    assert len(await asyncio.to_thread(recent_traces, tmp_path / "trace.db", 5000)) == 3000


async def test_too_many_traces_are_dropped_and_counted(tmp_path: Path) -> None:
    async with Recorder(tmp_path / "trace.db", snapshot, period=3600, queue=10) as recorder:
        for n in range(25):
            recorder.keep(trace(n))
        assert (recorder.kept, recorder.dropped) == (10, 15)
    assert [t.at for t in (await asyncio.to_thread(recent_traces, tmp_path / "trace.db", 99))] == list(
        range(9, -1, -1)
    )


async def test_a_damaged_file_goes_aside_and_it_is_said(tmp_path: Path) -> None:
    path, lines = tmp_path / "trace.db", io.StringIO()
    path.write_bytes(b"no database" * 1000)
    configure("test", stream=lines)
    async with Recorder(path, snapshot) as recorder:
        recorder.keep(trace(1))
    assert await asyncio.to_thread(read_trace, path, "last") == trace(1)
    assert (tmp_path / "trace.db.damaged").read_bytes().startswith(b"no database")
    assert "was moved aside" in lines.getvalue()


async def test_a_folder_that_can_not_be_written_is_a_health_problem_and_nothing_more(tmp_path: Path) -> None:
    folder = tmp_path / "later"
    async with Recorder(folder / "trace.db", snapshot, period=0.01) as recorder:
        recorder.keep(trace(1))
        await until(lambda: recorder.stats()["write_failures"] > 1)
        assert recorder.problem is not None
        assert recorder.stats()["waiting"] == 1
        folder.mkdir()
        await until(lambda: recorder.problem is None)
    assert await asyncio.to_thread(read_trace, folder / "trace.db", "last") == trace(1)


async def test_a_full_disk_is_counted_and_the_traces_wait(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    await asyncio.to_thread(lambda: TraceStore.open(path, 1 << 20).close())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the file can't be written, as when the disk is full
    async with Recorder(path, snapshot, period=0.01) as recorder:
        recorder.keep(trace(1))
        await until(lambda: recorder.stats()["write_failures"] > 0)
        assert "can't be written" in (recorder.problem or "")
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: recorder.stats()["written"] == 1)
    assert await asyncio.to_thread(read_trace, path, "last") == trace(1)


async def test_a_snapshot_that_fails_is_counted_and_traces_go_on(tmp_path: Path) -> None:
    def broken() -> Snapshot:
        raise RuntimeError("no figures")

    async with Recorder(tmp_path / "trace.db", broken, period=0.01) as recorder:
        recorder.keep(trace(1))
        await until(lambda: recorder.stats()["written"] == 1)
        await until(lambda: recorder.stats()["snapshot_failures"] > 0)
    assert await asyncio.to_thread(read_snapshot, tmp_path / "trace.db") is None


async def test_a_trace_that_can_not_be_stored_does_not_take_others_with_it(tmp_path: Path) -> None:
    poison = trace(2)
    poison.actions = 1 << 70
    lone_surrogate = trace(3)
    lone_surrogate.source = "\ud800"
    async with Recorder(tmp_path / "trace.db", snapshot, period=3600) as recorder:
        for item in (trace(1), poison, lone_surrogate, trace(4)):
            recorder.keep(item)
    assert recorder.stats()["unwritable"] == 2
    found = await asyncio.to_thread(recent_traces, tmp_path / "trace.db", 9)
    assert [t.at for t in found] == [4, 1]


async def test_a_file_that_breaks_while_it_is_open_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "trace.db"
    async with Recorder(path, snapshot, period=3600) as recorder:
        for n in range(500):
            recorder.keep(trace(n))
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xff" * 4096  # the index: opening does not touch it, the first write does
    path.write_bytes(data)
    async with Recorder(path, snapshot, period=0.01) as recorder:
        recorder.keep(trace(501))
        await until(lambda: recorder.stats()["written"] == 1)
        assert recorder.problem is None
        assert recorder.stats()["write_failures"] == 1
    assert await asyncio.to_thread(read_trace, path, "last") == trace(501)
    assert (tmp_path / "trace.db.damaged").exists()
