import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rimward_supervisor.background import NICE, put_behind

from .conftest import Running, gone, process, wait_for


def test_who_is_in_the_background_interrupts_nobody_and_weighs_less(
    supervise: Callable[..., Running],
) -> None:
    with supervise(process("deep", background=True), process("node")) as running:
        running.ready("deep", "node")
        deep, node = running.pids["deep"], running.pids["node"]
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.sched_getscheduler(deep) == os.SCHED_BATCH
        assert os.getpriority(os.PRIO_PROCESS, deep) == min(own + NICE, 19)
        assert os.sched_getscheduler(node) == os.sched_getscheduler(0)
        assert os.getpriority(os.PRIO_PROCESS, node) == own


def test_where_the_kernel_weighs_sessions_its_session_is_behind_others(
    supervise: Callable[..., Running],
) -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel has no autogroups")
    with supervise(process("deep", background=True), process("node")) as running:
        running.ready("deep", "node")
        weights = [Path(f"/proc/{running.pids[name]}/autogroup") for name in ("deep", "node")]
        wait_for(lambda: weights[0].read_text().endswith(f"nice {NICE}\n"))
        assert weights[1].read_text().endswith("nice 0\n")


def test_a_process_that_is_gone_needs_no_further_try() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    assert gone(pid)
    assert put_behind(pid)
