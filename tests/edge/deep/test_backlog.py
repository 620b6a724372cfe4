"""What people see of a backlog: how much, how fast, how long."""

from typing import Any

import pytest

from rimward.cli.status import _backlog
from rimward.edge.deep.backlog import LOOKS, Backlog
from rimward.wire import Tally


def looked(*waiting: int, stored: int = 0, each: int = 0, arriving: int = 0) -> dict[str, Any]:
    """Return the state after a look a second."""
    backlog = Backlog()
    for second, rows in enumerate(waiting):
        backlog.look([Tally("warm", 0, waiting=rows), Tally("live", 0)], stored + second * each, 5.0 + second)
    return backlog.state()


def test_a_backlog_that_drains_says_when_it_is_over() -> None:
    state = looked(10_000, 8_000, 6_000, each=2_500)
    assert state == {"rows": 6_000, "lanes": {"warm": 6_000}, "stored_per_s": 2_500, "left_s": 3.0}
    assert _backlog(state) == "6,000 rows wait for the lake, 2,500 a second reach it, 3 s to go"


def test_one_that_grows_has_no_end_in_sight() -> None:
    state = looked(10_000, 12_000, each=100)
    assert state["left_s"] is None
    assert _backlog(state) == "12,000 rows wait for the lake, 100 a second reach it, no end is in sight"


def test_what_is_only_under_way_is_no_backlog() -> None:
    assert not _backlog(looked(400, 500, 400, each=1_000))
    assert not _backlog(looked())
    assert not _backlog({})
    assert looked(0, 0)["left_s"] == 0.0


def test_rates_are_those_of_the_last_seconds() -> None:
    rows = [100_000, *range(90_000, 90_000 - LOOKS * 1_000 - 1, -1_000)]
    assert looked(*rows)["left_s"] == 80.0


def test_another_outbox_begins_anew() -> None:
    backlog = Backlog()
    backlog.look([Tally("warm", 0, waiting=10)], 500, 1.0)
    backlog.look([Tally("warm", 0, waiting=90)], 0, 2.0)
    assert backlog.state()["stored_per_s"] == 0
    backlog.look([Tally("warm", 0, waiting=60)], 30, 3.0)
    assert backlog.state() == {"rows": 60, "lanes": {"warm": 60}, "stored_per_s": 30, "left_s": 2.0}


@pytest.mark.parametrize(("left", "text"), [(90.0, "90 s"), (600.0, "10 min"), (30_000.0, "8 h")])
def test_long_times_have_large_units(left: float, text: str) -> None:
    sentence = _backlog({"rows": 10**7, "stored_per_s": 1_000, "left_s": left})
    assert sentence.endswith(f", {text} to go")
