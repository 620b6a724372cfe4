import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.observe import Histogram
from rimward.observe.histogram import BUCKETS, bounds, middle

durations = st.lists(st.integers(0, 50_000_000_000) | st.integers(0, 100), min_size=1, max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def exact(values: list[int], p: float) -> int:
    """The smallest value that at least `p` percent do not exceed."""
    ordered = sorted(values)
    return next(v for n, v in enumerate(ordered, 1) if n * 100 >= p * len(ordered))


def test_buckets_follow_each_other_without_a_gap_up_to_a_minute() -> None:
    assert bounds(0)[0] == 0
    for bucket in range(BUCKETS - 1):
        assert bounds(bucket)[1] + 1 == bounds(bucket + 1)[0]
    assert bounds(BUCKETS - 1)[0] <= 60_000_000_000 <= bounds(BUCKETS - 1)[1]


@given(st.integers(0, 60_000_000_000))
def test_a_duration_falls_into_the_bucket_that_bounds_it(ns: int) -> None:
    [(bucket, n)] = histogram_of([ns]).sparse().items()
    low, high = bounds(bucket)
    assert n == 1
    assert low <= ns <= high
    assert high - low <= ns / 32


@given(durations, st.sampled_from([1.0, 50.0, 90.0, 99.0, 99.9, 100.0]))
def test_a_percentile_is_within_a_bucket_of_the_exact_one(values: list[int], p: float) -> None:
    wanted = exact(values, p)
    assert abs(histogram_of(values).percentile(p) - wanted) <= 0.032 * wanted


@given(durations, durations)
def test_merging_is_recording_the_union(ones: list[int], others: list[int]) -> None:
    merged = histogram_of(ones)
    merged.merge(histogram_of(others))
    union = histogram_of(ones + others)
    assert (merged.counts, merged.count, merged.sum, merged.max) == (
        union.counts,
        union.count,
        union.sum,
        union.max,
    )


@given(durations)
def test_sparse_buckets_come_back_as_the_same_histogram(values: list[int]) -> None:
    histogram = histogram_of(values)
    back = Histogram.from_sparse(histogram.sparse())
    assert back.counts == histogram.counts
    assert abs(back.max - histogram.max) <= 0.032 * histogram.max
    assert abs(back.sum - histogram.sum) <= 0.032 * histogram.sum


@given(durations)
def test_sum_and_max_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert (histogram.count, histogram.sum, histogram.max) == (len(values), sum(values), max(values))


def test_what_is_out_of_range_is_counted_and_breaks_nothing() -> None:
    histogram = histogram_of([-5, 3_600_000_000_000])
    assert histogram.sparse() == {0: 1, BUCKETS - 1: 1}
    assert histogram.percentile(100) == histogram.max == 3_600_000_000_000


def test_an_empty_histogram_has_nothing_to_say() -> None:
    assert Histogram().percentile(99) == 0
    assert Histogram().sparse() == {}


@pytest.mark.parametrize("sparse", [{-1: 1}, {BUCKETS: 1}, {5: -1}])
def test_buckets_that_do_not_exist_are_refused(sparse: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="bucket"):
        Histogram.from_sparse(sparse)


def test_the_inline_form_counts_as_record_does() -> None:
    inline, recorded = Histogram(), Histogram()
    for ns in (32, 63, 64, 1_000, 123_456, 57_000_000_000):
        shift = ns.bit_length() - 6
        inline.counts[(shift << 5) + (ns >> shift)] += 1
        recorded.record(ns)
    assert inline.counts == recorded.counts
    assert inline.percentile(50) == recorded.percentile(50)


def test_recording_costs_little_more_than_the_bare_arithmetic() -> None:
    scope = {"h": Histogram(), "v": 123_456, "counts": [0] * BUCKETS}
    bare = "s = v.bit_length() - 6; counts[(s << 5) + (v >> s)] += 1"
    record = min(timeit.repeat("h.record(v)", globals=scope, number=20_000, repeat=9))
    assert record < 8 * min(timeit.repeat(bare, globals=scope, number=20_000, repeat=9))


def test_the_middle_stands_for_its_bucket() -> None:
    assert [middle(bucket) for bucket in (0, 31, 63, 64)] == [0, 31, 63, 64]
