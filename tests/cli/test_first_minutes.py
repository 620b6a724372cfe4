"""The quick start, step by step as a person types it, on free ports."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import Dev, until

from .commands import command

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
PAGE = (Path(__file__).parents[2] / "docs/quickstart.md").read_text()
STEPS = [
    shlex.split(line)[1:]
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("rimward ")
]
BEFORE, RUNNING, BESIDE = STEPS[:2], STEPS[2], STEPS[3:]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `rimward new` makes."""
    folder = tmp_path_factory.mktemp("minutes")
    (new, check) = BEFORE
    assert command(*new, at=folder).returncode == 0
    assert command(*check, at=folder / new[1]).returncode == 0
    return folder / new[1]


@pytest.fixture(scope="module")
def dev(project: Path) -> Iterator[Dev]:
    """`rimward dev` as the page starts it."""
    verb, app, *options = RUNNING
    assert verb == "dev"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Dev(project / app, project / ".rimward", *options, environment=plain) as running:
        yield running


def test_every_step_of_the_quick_start_does_what_it_says(dev: Dev, project: Path) -> None:
    done = {" ".join(step): command(*step, at=project) for step in BESIDE[:3]}
    wait, state, wrong = done.values()
    assert "acknowledged: PUBACK 0x00" in wait.stdout
    assert 'trucks/7/chiller {"mode":"max"}' in wait.stdout
    assert state.stdout.endswith('{"celsius":9.5}\n')
    assert "refused: PUBACK 0x99" in wrong.stdout
    assert [step.returncode for step in done.values()] == [0, 0, 1]
    until(lambda: "9.5" in command(*BESIDE[3], at=project).stdout, "the row is in the lake")
    log = project / ".rimward/logs/hub.log"
    until(lambda: "truck 7 has 9.5 °C\n" in log.read_text(), "the cloud function has printed its page")
    for step in BESIDE[4:]:
        said = command(*step, at=project)
        assert said.returncode == 0, (step, said.stdout, said.stderr)
    assert (project / "boundary.svg").exists()


def test_the_steps_are_those_of_the_page() -> None:
    assert [step[0] for step in STEPS] == [
        "new", "check", "dev", "send", "send", "send", "sql", "ledger", "trace", "status", "boundary", "test"
    ]  # fmt: skip


def test_an_edit_that_is_saved_is_what_the_node_does(dev: Dev, project: Path) -> None:
    app = project / "app.py"
    text = app.read_text()
    app.write_text(text.replace("LIMIT = 8.0", "LIMIT = 50.0"))

    def is_calm() -> bool:
        said = command(
            "send", "mqtt", "trucks/9/temperature", '{"celsius": 9.5}', "--wait", "trucks/9/chiller",
            "--timeout", "0.5", at=project,
        )  # fmt: skip
        return "nothing came on trucks/9/chiller" in said.stderr

    until(is_calm, "the node knows the new limit")
    app.write_text(text)


def test_a_fault_is_over_by_itself_and_the_ledger_balances(dev: Dev, project: Path) -> None:
    told = command("fault", "uplink", "--for", "2s", at=project)
    assert told.returncode == 0, told.stderr
    assert "facts wait in the outbox" in told.stdout
    assert "over: what waited is on its way" in told.stdout
    assert "FAULT" not in command("status", at=project).stdout
    until(lambda: command("ledger", at=project).returncode == 0, "it balances")
    wrong = command("fault", "disk", "--mode", "wet", at=project)
    assert (wrong.returncode, "is none of slow, full, error" in wrong.stderr) == (2, True)
    endless = command("fault", "uplink", "--for", "2h", at=project)
    assert (endless.returncode, "is not from 0 to 3600 s" in endless.stderr) == (2, True)
