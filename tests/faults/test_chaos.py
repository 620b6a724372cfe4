"""Three nodes, three facts, two functions a message, devices that resend; processes die everywhere.

The short form of `./dev soak kills --seeds 200`: every failpoint once, and random kills meanwhile.
"""

from pathlib import Path

import pytest
from tests.e2e.load import write_app

from rimward.edge.config import OutboxConfig

from . import account
from .chaos import Chaos, failpoints
from .devices import Devices
from .fleet import Fleet

SEED = 1
PATIENCE = 5.0  # seconds that a process gets to come by its failpoint
PAUSE = 4.0  # seconds from the return of a victim to the next random kill, on average


@pytest.mark.timeout(180)
def test_what_was_acknowledged_is_in_the_tables_once_after_a_kill_at_every_failpoint(tmp_path: Path) -> None:
    app = write_app(tmp_path)
    with Fleet(tmp_path / "fleet", app, outbox=(OutboxConfig(keep_after_commit=0.0),)) as fleet:
        with Devices(fleet.ports, each=2, rate=300.0) as devices:
            chaos = Chaos(fleet, SEED)
            chaos.run(failpoints(), patience=PATIENCE, pause=PAUSE)
            fleet.wait()
            assert devices.finish(), "everything that was sent is acknowledged once nothing dies any more"
        account.settle(fleet)
        result = account.check(fleet, devices.account)
    assert result.acknowledged > 500
    assert len(chaos.points) > len(failpoints()) // 2, chaos.told
    assert sum(chaos.kills.values()) > sum(chaos.points.values()), chaos.told
