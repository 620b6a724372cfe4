"""The slot as both sides read it, and what is told of a process that a call has killed."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from rimward_supervisor.slot import (
    ASKED,
    EVENT,
    FUNCTION,
    REPORT,
    START,
    STOP,
    SlotFile,
    Watched,
    write,
)
from rimward_supervisor.watch import LONG, Found, Watch, WatchSpec, place_in

FUNCTIONS = [Watched("guard", 20_000_000, 10**9), Watched("räume", 10**9, 2 * 10**9)]
STACK = """\
Thread 0x00007f (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 327 in wait

Current thread 0x00007e (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/home/anna/cold/.venv/lib/site-packages/x/y.py", line 3 in y
  File "/home/anna/cold/app.py", line 12 in guard
  File "/home/anna/cold/app.py", line 40 in other
"""


def watch_of(folder: Path, hands: int = STOP, pid: int = 0) -> tuple[Watch, SlotFile]:
    """Return a watch over a slot, which it has opened."""
    spec = WatchSpec(str(folder / "slot"), str(folder / "deaths"), str(folder / "stack"))
    write(spec.slot, FUNCTIONS, hands, str(folder))
    watch = Watch(spec, pid or os.getpid())
    watch.look(0.0)
    return watch, SlotFile(spec.slot)


def test_a_slot_is_read_as_it_was_written(tmp_path: Path) -> None:
    _, slot = watch_of(tmp_path)
    assert slot.functions == FUNCTIONS
    assert slot.root == str(tmp_path)
    assert list(slot.words[:4]) == [0, 0, 0, 0]


def test_what_is_no_slot_is_not_mapped(tmp_path: Path) -> None:
    (tmp_path / "slot").write_bytes(b"short")
    with pytest.raises(ValueError, match="5 bytes"):
        SlotFile(str(tmp_path / "slot"))


def test_a_new_slot_leaves_the_old_one_to_who_has_it(tmp_path: Path) -> None:
    _, slot = watch_of(tmp_path)
    slot.words[START] = 7
    write(str(tmp_path / "slot"), [], STOP, "/")
    assert slot.words[START] == 7
    assert SlotFile(str(tmp_path / "slot")).words[START] == 0


@pytest.mark.parametrize(
    ("code", "cause"), [(-signal.SIGSEGV, "SIGSEGV"), (3, "exit code 3"), (0, "exit code 0")]
)
def test_a_call_that_its_process_has_not_survived_is_named(tmp_path: Path, code: int, cause: str) -> None:
    watch, slot = watch_of(tmp_path)
    slot.words[EVENT], slot.words[FUNCTION], slot.words[START] = 0xAB, 1, time.monotonic_ns()
    found = watch.died(code)
    assert found is not None
    assert (found.fields["function"], found.fields["digest"], found.fields["cause"]) == (
        "guard",
        "000000ab",
        cause,
    )
    [line] = (tmp_path / "deaths").read_text().splitlines()
    assert json.loads(line)["function"] == "guard"


def test_nobody_is_named_where_no_call_ran(tmp_path: Path) -> None:
    watch, slot = watch_of(tmp_path)
    slot.words[FUNCTION] = 1
    assert watch.died(-signal.SIGSEGV) is None
    assert not (tmp_path / "deaths").exists()


def test_a_kill_from_outside_blames_only_a_call_that_had_run_for_long(tmp_path: Path) -> None:
    watch, slot = watch_of(tmp_path)
    slot.words[FUNCTION], slot.words[START] = 2, time.monotonic_ns() + 10**9
    assert watch.died(-signal.SIGKILL) is None
    slot.words[START] = time.monotonic_ns() - LONG
    found = watch.died(-signal.SIGKILL)
    assert found is not None
    assert found.fields["cause"] == "killed from outside by SIGKILL"


def test_a_process_in_a_debugger_or_one_that_only_reports_is_never_killed(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        while True:
            pass
    try:
        watch, slot = watch_of(tmp_path, REPORT, pid)
        slot.words[FUNCTION], slot.words[START] = 1, time.monotonic_ns() - 100 * 10**9
        told: list[Found] = []
        while not (slot.words[ASKED] and told):
            told += watch.look(time.monotonic())
        assert [one.event for one in told] == ["overran"]
        assert not any(one.kill for one in told)
        assert watch.runs == "guard"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_place_is_the_innermost_in_the_apps_own_files() -> None:
    assert place_in(STACK, "/home/anna/cold") == "app.py:12 in guard"
    assert place_in(STACK, "/srv/other") == ""
    assert place_in("", "/srv") == ""
