import os
import subprocess
import sys
from pathlib import Path

import pytest

from rimward.local.errors import DevError
from rimward.local.folder import DataFolder, alive, find


def prepared(root: Path) -> DataFolder:
    folder = DataFolder(root)
    folder.prepare()
    return folder


def test_the_second_on_a_folder_is_told_who_has_it(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "data")
    lock = folder.lock()
    with pytest.raises(DevError) as error:
        DataFolder(tmp_path / "data").lock()
    assert str(error.value) == (
        f"{tmp_path}/data is in use by process {os.getpid()} (rimward dev): "
        "stop that one, or choose another folder with --data DIR"
    )
    os.close(lock)
    os.close(folder.lock())


def test_what_a_killed_holder_left_to_its_child_is_waited_for(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "data")
    lock = folder.lock()
    os.pwrite(lock, b"999999999\n", 0)  # no such process
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], pass_fds=(lock,), stdin=subprocess.PIPE
    ) as child:
        os.close(lock)
        assert child.stdin is not None
        child.stdin.close()  # it ends, and with it the lock
        os.close(folder.lock())


@pytest.mark.parametrize("root", ["/proc/nowhere", "/dev/null/data"])
def test_a_folder_that_can_not_be_written_is_one_sentence(root: str) -> None:
    with pytest.raises(
        DevError, match=rf"^the data folder {root} can't be written \(.+\): choose another with"
    ):
        prepared(Path(root))


def test_what_is_written_is_the_owners_alone_and_whole(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "data")
    folder.write(folder.ready, {"a": 1})
    folder.write(folder.ready, b'{"a":2}')
    assert folder.ready.read_bytes() == b'{"a":2}'
    assert folder.ready.stat().st_mode & 0o077 == 0
    assert folder.run.stat().st_mode & 0o077 == 0
    assert [path.name for path in folder.run.iterdir()] == ["ready.json"]


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with pytest.raises(DevError, match=r"can't be written \(No such file or directory\): free some space"):
        folder.write(folder.ready, {})


def test_the_nearest_folder_upward_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find(deep) is None
    prepared(tmp_path / ".rimward")
    assert find(deep) == tmp_path / ".rimward"
    prepared(tmp_path / "a" / ".rimward")
    assert find(deep) == tmp_path / "a" / ".rimward"


def test_a_process_that_has_ended_is_not_alive() -> None:
    assert alive(os.getpid())
    assert not alive(0)
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(child.pid)  # not waited for yet
    child.wait()
