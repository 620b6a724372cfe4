"""Ingest stands still until the bus is full, and one node floods: the others go on, and all arrives."""

import os
import signal
from pathlib import Path

import pytest
from tests.e2e.load import write_app

from . import account
from .devices import Devices
from .fleet import Fleet, until, uplink


@pytest.mark.timeout(180)
def test_a_full_bus_holds_no_device_up_and_empties_without_hands(tmp_path: Path) -> None:
    with Fleet(tmp_path / "fleet", write_app(tmp_path), nodes=2, hub={"stream_bytes": 48 << 10}) as fleet:
        flood, calm = fleet.ports
        with (
            Devices([flood], each=4, rate=1500.0, prefix="flood") as many,
            Devices([calm], each=1, rate=20.0, prefix="calm") as few,
        ):
            many.more(100)
            ingest = fleet.hub.pid("ingest")
            assert ingest is not None
            os.kill(ingest, signal.SIGSTOP)
            try:
                until(lambda: refused(fleet), "the bus has no room")
                many.more(500)
                few.more(20)
            finally:
                os.kill(ingest, signal.SIGCONT)
            assert few.finish()
            assert many.finish()
        account.settle(fleet)
        account.check(fleet, few.account | many.account)


def refused(fleet: Fleet) -> bool:
    """Tell whether the bus has refused an envelope of the node that floods."""
    return uplink(fleet.nodes[0]).get("errors", {}).get("bus_full", 0) > 0
