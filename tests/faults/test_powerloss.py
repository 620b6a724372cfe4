# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""Acknowledged means on stable storage: what was never synced is thrown away, and nothing is missing."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from rimward.cloud.api import lanes_stored
from rimward.edge.config import OutboxConfig
from rimward.edge.deep.reader import OutboxReader
from rimward.edge.outbox import OutboxCore
from rimward.wire import Header, decode, encode_raw

from .powerloss import Disk, compiler

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    compiler() is None, reason="needs a C compiler: apt-get install gcc libc6-dev"
)


def run_until(disk: Disk, script: str, lines: int) -> list[int]:
    """Run a script on a disk, kill it -9 once it has acknowledged so much, and return all that it has."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / script), str(disk.root)],
        env=disk.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[int] = []
    end = time.monotonic() + 50
    for line in process.stdout:
        said.append(int(line))
        if len(said) >= lines or time.monotonic() > end:
            break
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL
    said += [int(line) for line in rest.split("\n")[:-1]]
    assert len(said) >= lines
    return said


def outbox_rows(folder: Path) -> set[int]:
    """Return the first value of every row, read as the deep process would."""
    found: set[int] = set()
    with closing(OutboxReader(folder / "outbox.db", "n1")) as reader:
        for supply in reader.supplies():
            after = (0, 0)
            while (segment := reader.segment(supply, after)) is not None:
                assert segment.lost is None
                head = Header("s", "normal", segment.first, segment.last, 0)
                envelope = encode_raw(head, segment.last - segment.first + 1, segment.rows)
                found |= {row.values[0] for row in decode(envelope)[1]}
                after = segment.end
    return found


@pytest.mark.parametrize("commits", [1, 20, 1500])
def test_every_acknowledged_message_is_in_the_outbox_after_a_power_cut(tmp_path: Path, commits: int) -> None:
    (tmp_path / "data").mkdir()
    disk = Disk(tmp_path / "scratch", tmp_path / "data" / "node")
    disk.root.mkdir()
    acknowledged = run_until(disk, "write_outbox.py", commits)
    node = disk.rebuilt(tmp_path / "after")
    core = OutboxCore(node / "outbox.db", time.time_ns, OutboxConfig())
    assert core.quarantined is None
    assert core.epoch.counter == 2, "the epoch that rows were given in is not used again"
    core.close()
    rows = outbox_rows(node)
    assert set(acknowledged) <= rows
    assert rows <= set(range(max(acknowledged) + 1 + 64 * 40)), (
        "what else is there was sent, and not answered"
    )


@pytest.mark.parametrize("commits", [1, 12, 105])
def test_every_announced_mark_has_its_rows_in_the_lake_after_a_power_cut(
    tmp_path: Path, commits: int
) -> None:
    disk = Disk(tmp_path / "scratch", tmp_path / "data")
    disk.root.mkdir()
    announced = run_until(disk, "write_lake.py", commits)
    after = disk.rebuilt(tmp_path / "after")
    rows: Any = DeltaTable(str(after / "lake" / "warm")).to_pyarrow_dataset().to_table(columns=["n"])
    wanted = {seq for seq in range(1, max(announced) + 1) if seq % 70 != 3}
    assert wanted <= set(rows.column("n").to_pylist())
    (stored,) = lanes_stored(after)
    assert stored.seq >= max(announced)
    assert stored.rows + stored.dead == stored.seq, "a mark never says more than is there"


def test_the_power_cut_does_take_what_was_not_synced(tmp_path: Path) -> None:
    """The control: without it the tests above could not fail."""
    disk = Disk(tmp_path / "scratch", tmp_path / "data")
    disk.root.mkdir()
    code = """
import os, pathlib, sqlite3, sys
root = pathlib.Path(sys.argv[1])
for name, synced, folder in (("a", True, False), ("b", False, False), ("c", True, True)):
    fd = os.open(root / name, os.O_CREAT | os.O_WRONLY)
    os.write(fd, b"1")
    if synced: os.fsync(fd)
    os.write(fd, b"2")
    if folder: os.fsync(d := os.open(root, os.O_RDONLY))
(root / "d").write_bytes(b"3")
"""
    subprocess.run([sys.executable, "-c", code, str(disk.root)], env=disk.environment(), check=True)
    after = disk.rebuilt(tmp_path / "after")
    found = {file.name: file.read_bytes() for file in after.iterdir()}
    assert found == {"a": b"1", "b": b"", "c": b"1"}


def test_with_synchronous_normal_acknowledged_commits_are_gone(tmp_path: Path) -> None:
    """The control for SQLite: the same disk shows what FULL is for."""
    disk = Disk(tmp_path / "scratch", tmp_path / "data")
    disk.root.mkdir()
    code = """
import os, sqlite3, sys
db = sqlite3.connect(f"{sys.argv[1]}/x.db", isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute(f"pragma synchronous={sys.argv[2]}")
db.execute("create table t (n)")
for n in range(50):
    db.execute("insert into t values (?)", (n,))
os.fsync(os.open(sys.argv[1], os.O_RDONLY))
os.kill(os.getpid(), 9)
"""
    counts: dict[str, int] = {}
    for mode in ("full", "normal"):
        for file in disk.root.iterdir():
            file.unlink()
        subprocess.run(
            [sys.executable, "-c", code, str(disk.root), mode], env=disk.environment(), check=False
        )
        after = disk.rebuilt(tmp_path / mode)
        with closing(sqlite3.connect(after / "x.db")) as db:
            try:
                counts[mode] = db.execute("select count(*) from t").fetchone()[0]
            except sqlite3.OperationalError:  # not even the table
                counts[mode] = 0
    assert counts["full"] == 50
    assert counts["normal"] < 50
