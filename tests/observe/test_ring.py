from hypothesis import given
from hypothesis import strategies as st

from rimward.observe import Ring


@given(st.integers(1, 20), st.lists(st.integers()), st.integers(0, 30))
def test_a_ring_holds_the_newest_newest_first(size: int, values: list[int], n: int) -> None:
    ring = Ring(size)
    for value in values:
        ring.add((value,))
    assert ring.recent(n) == [(value,) for value in values[::-1][: min(n, size)]]
    assert len(ring) == min(size, len(values))
