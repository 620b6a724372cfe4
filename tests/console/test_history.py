import pytest

from rimward.console.history import History

from .samples import NOW, SECOND, function, snapshot


def test_one_snapshot_gives_no_rate() -> None:
    history = History()
    history.add(snapshot())
    assert history.rate("events") is None


def test_a_rate_looks_back_five_seconds() -> None:
    history = History()
    for second in range(20):
        counters = {"events": 1000 + (50 * (second - 14) if second > 14 else 0)}
        history.add(snapshot(NOW + second * SECOND, counters=counters))
    assert history.rate("events") == pytest.approx(50)


def test_another_start_of_the_node_begins_anew() -> None:
    history = History()
    history.add(snapshot())
    history.add(snapshot(NOW + SECOND, started_at=NOW, counters={"events": 1}))
    assert history.rate("events") is None


def test_the_same_snapshot_read_twice_changes_nothing() -> None:
    history = History()
    history.add(snapshot())
    history.add(snapshot(NOW + SECOND, counters={"events": 150}))
    history.add(snapshot(NOW + SECOND, counters={"events": 150}))
    assert history.rate("events") == pytest.approx(50)


def test_percentiles_are_of_the_last_minute_only() -> None:
    history = History()
    slow = function(ns=80_000_000, calls=1000)
    history.add(snapshot(functions={"stumble": slow}))
    both = dict(slow.stages["total"])
    for bucket, n in function(ns=100_000, calls=10).stages["total"].items():
        both[bucket] = both.get(bucket, 0) + n
    later = function(calls=1010, stages={"total": both})
    history.add(snapshot(NOW + SECOND, functions={"stumble": later}))
    (figures,) = history.functions()
    assert figures.calls == 1010
    assert figures.p99 == pytest.approx(100_000, rel=0.04)


def test_no_call_in_the_last_minute_has_no_percentile() -> None:
    history = History()
    history.add(snapshot())
    history.add(snapshot(NOW + SECOND))
    (figures,) = history.functions()
    assert (figures.p50, figures.p99, figures.rate) == (None, None, 0)
