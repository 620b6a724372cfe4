"""Aggregates against the definitions in the standard library's statistics."""

import math
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from rimward.app import stream as declared
from rimward.streams import AggFold, Aggregate, WindowFull
from rimward.streams.accumulators import MAX_VALUES
from rimward.streams.folds import ApplyFold

FLOATS = st.floats(-1e9, 1e9)
NUMBERS = st.lists(st.integers(-(2**63), 2**63) | FLOATS, min_size=1, max_size=20)


class Value(Struct):
    x: Any


def fold_of(*names: Aggregate) -> AggFold:
    return AggFold({name: ("x", name) for name in names})


def run(fold: AggFold, values: list[Any], times: list[int] | None = None) -> dict[str, Any]:
    cell = fold.new()
    for time, value in zip(times or range(len(values)), values, strict=True):
        cell.add(time, Value(value))
    return cell.result()


REFERENCES: dict[Aggregate, Callable[[list[Any]], Any]] = {
    "count": len,
    "sum": sum,
    "mean": statistics.mean,
    "min": min,
    "max": max,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "median": statistics.median,
    "nunique": lambda values: len(set(values)),
}


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40))
def test_integers_are_aggregated_exactly(values: list[int]) -> None:
    result = run(fold_of(*REFERENCES), values)
    expected = {name: reference(values) for name, reference in REFERENCES.items()}
    assert result == expected | {"mean": sum(values) / len(values)}
    assert isinstance(result["sum"], int)


@given(NUMBERS)
def test_sum_and_mean_lose_no_more_than_the_last_digits_of_the_exact_ones(values: list[float]) -> None:
    exact = sum(map(Fraction, values))
    size = sum(abs(Fraction(value)) for value in values)
    result = run(fold_of("sum", "mean"), values)
    assert abs(Fraction(result["sum"]) - exact) <= abs(exact) * Fraction(1e-15) + size * Fraction(1e-30)
    assert abs(Fraction(result["mean"]) - exact / len(values)) <= abs(exact) * Fraction(
        1e-15
    ) + size * Fraction(1e-30)


@given(st.lists(FLOATS, min_size=2, max_size=20))
def test_variance_is_the_samples(values: list[float]) -> None:
    result = run(fold_of("var", "std"), values)
    size = max(map(abs, values)) ** 2
    assert result["var"] == pytest.approx(statistics.variance(values), rel=1e-9, abs=size * 1e-13)
    assert result["std"] == pytest.approx(math.sqrt(result["var"]))


def test_the_variance_of_small_steps_on_a_large_offset_is_kept() -> None:
    values = [1e9 + step for step in (4.0, 7.0, 13.0, 16.0)]
    assert run(fold_of("var"), values) == {"var": 30.0}


def test_a_sum_keeps_small_values_beside_large_ones() -> None:
    assert run(fold_of("sum"), [1.0, 1e100, 1.0, -1e100]) == {"sum": 2.0}


def test_an_infinite_value_makes_an_infinite_sum() -> None:
    assert run(fold_of("sum", "mean"), [1.0, math.inf, 1.0]) == {"sum": math.inf, "mean": math.inf}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers()), unique_by=lambda pair: pair[0], min_size=1))
def test_first_and_last_go_by_event_time(events: list[tuple[int, int]]) -> None:
    result = run(fold_of("first", "last"), [v for _, v in events], [t for t, _ in events])
    ordered = sorted(events)
    assert result == {"first": ordered[0][1], "last": ordered[-1][1]}


@given(st.lists(st.none() | st.just(math.nan) | FLOATS, max_size=20))
def test_missing_values_are_skipped(values: list[float | None]) -> None:
    present = [value for value in values if value is not None and not math.isnan(value)]
    result = run(fold_of("count", "min", "median", "nunique"), values)
    assert result["count"] == len(present)
    assert result["nunique"] == len(set(present))
    assert result["min"] == (min(present) if present else None)
    assert repr(result["median"]) == repr(statistics.median(present) if present else math.nan)


def test_of_no_values_each_aggregate_is_what_pandas_says() -> None:
    result = run(fold_of(*get_args(Aggregate)), [None])
    zero = {name: result.pop(name) for name in ("count", "sum", "nunique")}
    assert zero == {"count": 0, "sum": 0, "nunique": 0}
    assert {name: result.pop(name) for name in ("min", "max", "first", "last")} == dict.fromkeys(
        ("min", "max", "first", "last")
    )
    assert {"mean", "median", "std", "var", "p50", "rate", "time_weighted_mean"} <= set(result)
    assert all(math.isnan(value) for value in result.values())


@given(NUMBERS, st.integers(0, 20))
def test_a_cell_restored_at_any_point_gives_the_same(values: list[float], cut: int) -> None:
    fold = fold_of(*get_args(Aggregate))
    whole, cell = fold.new(), fold.new()
    for time, value in enumerate(values):
        whole.add(time, Value(value))
        if time == cut:
            cell = fold.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(cell.snapshot())))
        cell.add(time, Value(value))
    assert repr(cell.result()) == repr(whole.result())
    assert cell.snapshot() == whole.snapshot()


def test_values_of_other_types_survive_a_snapshot_by_encode_and_decode() -> None:
    types: dict[str, Any] = {"id": UUID, "at": datetime}
    fold = AggFold(
        {"first": ("id", "first"), "ids": ("id", "nunique"), "newest": ("at", "max")},
        encode=msgspec.to_builtins,
        decode=lambda field, value: msgspec.convert(value, types[field]),
    )

    class Seen(Struct):
        id: UUID
        at: datetime

    seen = Seen(UUID(int=7), datetime(2026, 1, 1, tzinfo=UTC))
    cell = fold.new()
    cell.add(1, seen)
    cell = fold.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(cell.snapshot())))
    cell.add(2, seen)
    assert cell.result() == {"first": seen.id, "ids": 1, "newest": seen.at}


@pytest.mark.parametrize("how", ["sum", "mean", "std", "var", "median"])
def test_what_computes_refuses_text(how: Aggregate) -> None:
    with pytest.raises(TypeError, match="computes with numbers, got str"):
        run(fold_of(how), ["12"])


def test_values_without_an_order_change_no_aggregate() -> None:
    cell = fold_of("count", "min").new()
    cell.add(1, Value("a"))
    with pytest.raises(TypeError):
        cell.add(2, Value(3))
    assert cell.result() == {"count": 1, "min": "a"}


def test_an_aggregate_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"p98.*must be one of count, sum"):
        AggFold({"p": ("x", "p98")})


@pytest.mark.parametrize("how", ["median", "nunique"])
def test_a_window_keeps_no_more_values_than_it_may(how: Aggregate) -> None:
    cell = fold_of(how, "count").new()
    for value in range(MAX_VALUES):
        cell.add(value, Value(value))
    with pytest.raises(WindowFull):
        cell.add(0, Value(-1))
    assert cell.result()["count"] == MAX_VALUES


def test_apply_keeps_no_more_values_than_it_may() -> None:
    cell = ApplyFold(len).new()
    for value in range(MAX_VALUES):
        cell.add(value, value)
    with pytest.raises(WindowFull):
        cell.add(0, -1)
    assert cell.result() == MAX_VALUES


@given(st.lists(st.tuples(st.integers(0, 20), st.integers()), max_size=30))
def test_apply_gets_its_values_by_event_time(events: list[tuple[int, int]]) -> None:
    cell = ApplyFold(list[Any]).new()
    for event in events:
        cell.add(event[0], event)
    assert cell.result() == sorted(events, key=lambda event: event[0])


def test_an_app_may_name_exactly_the_aggregates_that_there_are() -> None:
    assert get_args(declared.Aggregate) == get_args(Aggregate)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(-99, 99)), max_size=20), st.integers(0, 20))
def test_two_cells_merged_are_as_one_that_took_all(events: list[tuple[int, int]], cut: int) -> None:
    fold = fold_of(*get_args(Aggregate))
    whole, one, two = fold.new(), fold.new(), fold.new()
    for index, (time, value) in enumerate(events):
        whole.add(time, Value(value))
        (one if index < cut else two).add(time, Value(value))
    one.merge(two)
    expected, actual = whole.result(0, 100), one.result(0, 100)
    for name in ("std", "var", "time_weighted_mean"):
        assert actual.pop(name) == pytest.approx(expected.pop(name), nan_ok=True)
    assert repr(actual) == repr(expected)


@given(st.lists(st.floats(-1e9, 1e9) | st.just(0.0), min_size=1, max_size=80))
def test_a_percentile_is_within_one_percent_of_a_value_of_its_rank(values: list[float]) -> None:
    result = run(fold_of("p50", "p99", "p1"), values)
    ordered = sorted(values)
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p1", 0.01)):
        exact = ordered[int(share * (len(values) - 1) + 0.5)]
        assert result[name] == pytest.approx(exact, rel=0.01, abs=1e-290)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(-99, 99)), min_size=1, max_size=20))
def test_a_time_weighted_mean_is_what_the_value_was_on_average(events: list[tuple[int, int]]) -> None:
    cell = fold_of("time_weighted_mean").new()
    for time, value in events:
        cell.add(time, Value(value))
    held = dict(events)
    at, levels = min(held), list[int]()
    level = held[at]
    for moment in range(at, 100):
        level = held.get(moment, level)
        levels.append(level)
    assert cell.result(0, 100)["time_weighted_mean"] == pytest.approx(statistics.mean(levels))


def test_a_rate_is_values_a_second_of_the_window() -> None:
    cell = fold_of("rate").new()
    for time in range(30):
        cell.add(time, Value(1))
    assert cell.result(0, 60 * 10**9) == {"rate": 0.5}
