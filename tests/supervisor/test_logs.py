import os
from pathlib import Path

from rimward_supervisor.logs import open_log, rotate, tail


def test_a_log_over_its_limit_is_moved_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = open_log(str(path))
    os.write(log, b"x" * 100)
    rotate(str(path), 100)
    assert path.stat().st_size == 100
    os.write(log, b"y")
    rotate(str(path), 100)
    os.write(log, b"new\n")
    os.close(log)
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"x" * 100 + b"y"
    assert path.stat().st_mode & 0o077 == 0


def test_the_tail_is_of_this_life_only_and_short(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(
        b"an earlier life\n" + b"".join(b"line %d\n" % n for n in range(30)) + b"\xff" + b"z" * 9000
    )
    lines = tail(str(path), 16)
    assert len(lines) <= 20
    assert all(len(line) <= 500 for line in lines)
    assert "an earlier life" not in lines
    assert tail(str(tmp_path / "none.log"), 0) == []


def test_the_tail_of_a_log_that_was_cut_begins_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"after the cut\n")
    assert tail(str(path), 1000) == ["after the cut"]
