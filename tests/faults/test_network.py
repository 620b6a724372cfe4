"""A node and its hub apart: the link is bad, half open or gone; rows arrive once, and by themselves.

The long form is `./dev soak links`.
"""

from pathlib import Path

import pytest
from tests.e2e.running import until
from tests.faults.distant import BAD, CLOUD, EDGE, Distant

from rimward.lab.emulator import Direction, why_not

REASON = why_not()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]


def test_rows_arrive_once_through_a_bad_link_a_half_open_one_and_none(tmp_path: Path) -> None:
    with Distant(tmp_path, seed=11) as distant:
        lab = distant.lab
        distant.send(20)
        until(distant.arrived, "the first rows are in the lake")
        lab.between(EDGE, CLOUD, BAD)
        distant.send(100)
        lab.cut(CLOUD, EDGE, both=False)  # what the node sends arrives, and it hears nothing of that
        distant.send(100)
        lab.cut(EDGE, CLOUD)
        distant.send(100)
        assert not distant.arrived()
        lab.between(EDGE, CLOUD, Direction(delay=0.3, loss=0.05, rate=64_000, reorder=0.1, duplicate=0.1))
        until(distant.arrived, "everything is in the lake, and nobody had to do anything")
        counters = lab.counters()
        assert counters["edge>cloud"]["lost"] > 0
        assert sum(counters[way].get("down", 0) for way in ("edge>cloud", "cloud>edge")) > 0
