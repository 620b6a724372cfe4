"""Token buckets, on a clock that the test moves."""

from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.buckets import Bucket, Buckets


@given(
    st.floats(0.5, 1000),
    st.floats(1, 1000),
    st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), max_size=60),
)
def test_no_more_is_taken_in_any_time_than_the_rate_and_one_burst(
    rate: float, burst: float, tries: list[tuple[float, int]]
) -> None:
    bucket, now = Bucket(rate, burst, 0.0), 0.0
    taken: list[tuple[float, int]] = []
    for wait, count in tries:
        now += wait
        if bucket.take(count, now):
            taken.append((now, count))
    for first, (start, _) in enumerate(taken):
        total = 0
        for at, count in taken[first:]:
            total += count
            assert total <= burst + rate * (at - start) + 1e-6 * (1 + total)


def test_a_burst_is_there_at_once_and_then_the_rate() -> None:
    bucket = Bucket(10.0, 20.0, 100.0)
    assert all(bucket.take(1, 100.0) for _ in range(20))
    assert not bucket.take(1, 100.0)
    assert bucket.take(1, 100.11)
    assert not bucket.take(1, 100.11)
    assert bucket.take(20, 200.0)
    assert bucket.is_full(300.0)


def test_what_is_owed_takes_its_time() -> None:
    bucket = Bucket(10.0, 5.0, 0.0)
    assert bucket.owe(5, 0.0) == 0.0
    assert bucket.owe(10, 0.0) == 1.0
    assert not bucket.take(1, 1.0)
    assert bucket.owe(0, 0.5) == 0.0
    assert bucket.take(1, 1.2)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(10.0, 1.0, 10.0)
    assert bucket.take(1, 10.0)
    assert not bucket.take(1, 0.0)
    assert not bucket.take(1, 10.05)


def test_each_key_has_its_own_and_the_least_recently_used_makes_room() -> None:
    buckets: Buckets[str] = Buckets(1.0, 1.0, 2)
    assert buckets.take("a", 1, 0.0)
    assert not buckets.take("a", 1, 0.0)
    assert buckets.take("b", 1, 0.0)
    assert not buckets.take("a", 1, 0.0)
    assert buckets.take("c", 1, 0.0)
    assert len(buckets) == 2
    assert not buckets.take("a", 1, 0.0)
    assert buckets.take("b", 1, 0.0), "it was forgotten for c"
