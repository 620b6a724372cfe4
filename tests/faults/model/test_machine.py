"""The real outbox, uplink and ingest, driven by hypothesis through deaths, losses, repeats and old disks."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType] (hypothesis types it in part)
)

from .cores import Cores, empty_lake

OUTBOX = st.sampled_from([None, None, "outbox.begun", "outbox.inserted", "outbox.committed"])
INGEST = st.sampled_from(
    [None, None, None, "ingest.epochs-written", "ingest.side-written", "ingest.committed", "ingest.synced"]
)
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
_lakes: list[Path] = []


class DeepPath(RuleBasedStateMachine):
    """Steps and faults in any order; the account is made in the end."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp())
        self._cores: Cores | None = None

    @property
    def cores(self) -> Cores:
        assert self._cores is not None
        return self._cores

    @initialize(keeps=st.booleans())
    def begin(self, *, keeps: bool) -> None:
        self._cores = Cores(self._folder / "run", _lakes[-1], keeps=keeps)

    @rule(messages=st.integers(1, 3), dies_at=OUTBOX)
    def messages_come(self, messages: int, dies_at: str | None) -> None:
        self.cores.take(messages)
        self.cores.commit(dies_at)

    @rule()
    def the_node_dies(self) -> None:
        self.cores.take(1)
        self.cores.node_dies()

    @rule()
    def the_deep_process_dies(self) -> None:
        self.cores.sender_dies()

    @rule()
    def rows_are_sent(self) -> None:
        self.cores.send()

    @precondition(lambda self: self.cores.bus)
    @rule(data=st.data(), dies_at=INGEST)
    def the_hub_takes_some(self, data: st.DataObject, dies_at: str | None) -> None:
        shuffled = data.draw(st.permutations(self.cores.bus))
        some = data.draw(st.integers(1, len(shuffled)))
        self.cores.hub_takes(list(shuffled[:some]), dies_at)

    @rule()
    def the_hub_dies(self) -> None:
        self.cores.hub_dies()

    @precondition(lambda self: self.cores.bus)
    @rule()
    def the_bus_loses_all(self) -> None:
        self.cores.bus.clear()

    @precondition(lambda self: self.cores.past)
    @rule(data=st.data())
    def the_bus_repeats_one(self, data: st.DataObject) -> None:
        self.cores.bus.append(data.draw(st.sampled_from(self.cores.past)))

    @precondition(lambda self: self.cores.marks)
    @rule(back=st.integers(0, 3))
    def the_node_hears_marks(self, back: int) -> None:
        self.cores.hear(max(0, len(self.cores.marks) - 1 - back))

    @precondition(lambda self: self.cores.copy is None)
    @rule()
    def the_disk_is_copied(self) -> None:
        self.cores.copy_disk()

    @precondition(lambda self: self.cores.copy is not None)
    @rule()
    def the_disk_is_rolled_back(self) -> None:
        self.cores.roll_back()

    @precondition(lambda self: self.cores.copy is not None)
    @rule(messages=st.integers(0, 3), sends=st.booleans())
    def the_copy_goes_on_beside(self, messages: int, *, sends: bool) -> None:
        with self.cores.on_the_copy():
            self.cores.take(messages)
            self.cores.commit(None)
            self.cores.hello()
            if sends:
                self.cores.send()

    @rule()
    def the_node_says_hello(self) -> None:
        self.cores.hello()

    def teardown(self) -> None:
        try:
            if self._cores is not None:
                if self._cores.copy is not None:
                    with self._cores.on_the_copy():
                        self._cores.settle()
                self._cores.settle()
                self._cores.check()
        finally:
            if self._cores is not None:
                self._cores.close()
            shutil.rmtree(self._folder)


@pytest.fixture(autouse=True)
def lake(tmp_path: Path) -> Iterator[None]:
    _lakes.append(empty_lake(tmp_path / "empty"))
    yield
    _lakes.clear()


@pytest.mark.timeout(120)
def test_no_order_of_steps_and_faults_loses_or_doubles_a_row() -> None:
    explore(settings(max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=SLOW))


def explore(how: settings) -> None:
    """Drive as many machines as the settings say.

    Raises:
        AssertionError: a row was lost or doubled; the message has the steps.
    """
    run_state_machine_as_test(DeepPath, settings=how)


def main(arguments: list[str]) -> int:
    """Drive so many machines (200), each with 50 steps, other ones at every run."""
    number = int(arguments[0]) if arguments else 200
    with tempfile.TemporaryDirectory() as folder:
        _lakes.append(empty_lake(Path(folder) / "empty"))
        explore(
            settings(
                max_examples=number, stateful_step_count=50, deadline=None, suppress_health_check=SLOW,
                derandomize=False, database=None, print_blob=True,
            )
        )  # fmt: skip
    print(f"{number} machines, no row lost or doubled")
    return 0
