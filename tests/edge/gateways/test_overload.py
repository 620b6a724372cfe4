"""Which classes a node refuses, on a clock that the test moves."""

import pytest

from rimward.edge.gateways.overload import Overload, OverloadConfig

CONFIG = OverloadConfig(bulk_lag=0.1, normal_lag=0.5, bulk_fill=0.8, normal_fill=0.95, calm=3.0)


def refused(overload: Overload) -> list[str]:
    return [name for name in ("bulk", "normal", "critical") if overload.refuses(name)]


@pytest.mark.parametrize(
    ("lag", "fill", "expected"),
    [
        (0.0, 0.0, []),
        (0.099, 0.79, []),
        (0.1, 0.0, ["bulk"]),
        (0.0, 0.8, ["bulk"]),
        (0.5, 0.0, ["bulk", "normal"]),
        (0.0, 0.95, ["bulk", "normal"]),
        (9.0, 1.0, ["bulk", "normal"]),
    ],
)
def test_the_lowest_class_is_refused_first_and_the_critical_one_never(
    lag: float, fill: float, expected: list[str]
) -> None:
    overload = Overload(CONFIG, lambda: fill)
    assert overload.look(lag, 10.0) is bool(expected)
    assert refused(overload) == expected


def test_a_class_is_admitted_again_when_the_node_has_been_calm_one_after_the_other() -> None:
    overload = Overload(CONFIG)
    assert overload.look(1.0, 10.0)
    assert not overload.look(0.0, 12.9)
    assert overload.level == 2
    assert overload.look(0.0, 13.0)
    assert refused(overload) == ["bulk"]
    assert not overload.look(0.0, 15.0)
    assert not overload.look(0.2, 15.5)
    assert not overload.look(0.0, 18.4)
    assert overload.look(0.0, 18.5)
    assert refused(overload) == []
    assert not overload.look(0.0, 30.0)
