"""Three nodes and their hub lose power, together and one by one: nothing acknowledged is lost or doubled.

The short form of `./dev soak power`.
"""

from pathlib import Path

import pytest
from tests.e2e.load import write_app

from . import account
from .devices import Devices
from .fleet import Fleet
from .power import Grid
from .powerloss import compiler


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler: apt-get install gcc libc6-dev")
@pytest.mark.timeout(180)
def test_what_was_acknowledged_is_in_the_tables_once_after_power_cuts(tmp_path: Path) -> None:
    grid = Grid(tmp_path, seed=4)
    fleet = Fleet(tmp_path / "fleet", write_app(tmp_path), env=grid.env)
    grid.switch_on(fleet)
    with fleet:
        with Devices(fleet.ports, each=1, rate=150.0) as devices:
            devices.more(200)
            grid.cut(*fleet.machines)
            devices.more(200)
            grid.cut(fleet.hub, fleet.nodes[1])
            assert devices.finish(), "everything that was sent is acknowledged once the power stays"
        account.settle(fleet)
        result = account.check(fleet, devices.account)
    assert result.resent > 0, "the cuts fell while messages were on their way"
