"""Failpoints do what their list says, cost nothing unarmed, and the docs name each of them."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from rimward.observe import failpoints
from rimward.observe.failpoints import FailpointError, Failpoints, armed, parse

ROOT = Path(__file__).parents[2]
PLACED = re.compile(r"""\breach\(\s*(["'][^"']*["']|[^)]*)\)""")


def test_nothing_is_armed_unless_the_environment_says_so() -> None:
    assert armed(None) is failpoints._nothing
    assert armed("") is failpoints._nothing


def test_an_action_with_a_number_is_carried_out_that_time_alone() -> None:
    reach = armed("a.b=raise:OSError@2, c.d=raise:ValueError")
    reach("a.b")
    with pytest.raises(OSError, match=r"failpoint a\.b"):
        reach("a.b")
    reach("a.b")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"failpoint c\.d"):
            reach("c.d")
    reach("e.f")


WRONG = "a|a=|=kill|a=die|a=kill:9|a=delay|a=delay:x|a=raise:print|a=raise:KeyboardInterrupt|a=kill@x"


@pytest.mark.parametrize("text", WRONG.split("|"))
def test_a_list_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(FailpointError, match="name=kill"):
        parse(text)


def test_a_kill_is_the_processs_last_step() -> None:
    code = (
        "from rimward.observe.failpoints import reach\nprint(1, flush=True)\nreach('a')\nreach('a')\nprint(2)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {failpoints.VARIABLE: "a=kill@2"}, capture_output=True,
        check=False, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "1\n")


def test_a_file_arms_a_process_that_runs_and_is_taken_away_by_its_death(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    code = (
        "import sys\nfrom rimward.observe.failpoints import reach\n"
        "for line in sys.stdin:\n    reach(line.strip())\n    print('alive', flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {failpoints.VARIABLE: f"@{plan}"}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("a\n")
    child.stdin.flush()
    assert child.stdout.readline() == "alive\n"
    plan.write_text("a=kill")
    child.communicate("a\n")
    assert child.returncode == -signal.SIGKILL
    assert not plan.exists()
    assert (tmp_path / "plan.reached").read_text() == f"a {child.pid}\n"
    Failpoints(f"@{plan}").reach("a")  # its successor lives


def test_every_name_in_the_source_is_placed_once_and_listed_in_the_docs() -> None:
    placed: Counter[str] = Counter()
    for file in (ROOT / "src").rglob("*.py"):
        if file.name != "failpoints.py":
            placed.update(PLACED.findall(file.read_text()))
    assert placed, "the pattern finds none"
    assert [name for name, times in placed.items() if times > 1] == []
    table = (ROOT / "docs" / "failpoints.md").read_text().partition("## Names")[2]
    listed = re.findall(r"^\| `([a-z]+\.[a-z-]+)` \|", table, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {name.strip("\"'") for name in placed} <= set(listed)
