"""Three nodes, three facts, two functions a message, devices that resend; processes die everywhere.

The short form of `./dev soak kills --seeds 200`: every failpoint once, and a random kill between each two.
"""

from pathlib import Path

import pytest
from tests.e2e.load import write_app

from rimward.edge.config import OutboxConfig

from . import account
from .chaos import Chaos, failpoints
from .devices import Devices
from .fleet import Fleet

SEEDS = (1, 2, 3)
PATIENCE = 5.0  # seconds that processes get to come by their failpoints


@pytest.mark.timeout(180)
def test_what_was_acknowledged_is_in_the_tables_once_after_a_kill_at_every_failpoint(tmp_path: Path) -> None:
    app = write_app(tmp_path)
    with Fleet(tmp_path / "fleet", app, outbox=(OutboxConfig(keep_after_commit=0.0),)) as fleet:
        with Devices(fleet.ports, each=2, rate=300.0) as devices:
            done = [Chaos(fleet, seed) for seed in SEEDS]
            rounds = list(done[0].rounds(failpoints()))
            for number, names in enumerate(rounds):
                chaos = done[number % len(SEEDS)]
                chaos.kill_at(names, PATIENCE)
                chaos.random_kill()
            fleet.wait()
            assert devices.finish(), "everything that was sent is acknowledged once nothing dies any more"
        account.settle(fleet)
        result = account.check(fleet, devices.account)
    assert result.acknowledged > 500
    told = [chaos.told for chaos in done]
    points = {name for chaos in done for name in chaos.points}
    assert len(points) > len(failpoints()) // 2, told
    assert sum(sum(chaos.kills.values()) for chaos in done) >= len(rounds) + len(points), told
