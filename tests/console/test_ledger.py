from hypothesis import given
from hypothesis import strategies as st

from rimward.cloud.stored import Stored
from rimward.console.ledger import balances
from rimward.edge.api import LaneReport


def lane(counter: int, forwarded: int, *held: tuple[int, int], at: int = 7) -> LaneReport:
    return LaneReport("node-1", "motion", counter, forwarded, held, (at,) * len(held))


def stored(rows: int, counter: int, seq: int, dead: int = 0) -> Stored:
    return Stored("node-1", "motion", rows, dead, counter, seq)


def test_all_that_no_table_knows_waits() -> None:
    (balance,) = balances([lane(1, 8, (1, 5), (6, 8))], [])
    assert (balance.forwarded, balance.stored, balance.waiting, balance.missing) == (8, 0, 8, 0)


def test_committed_rows_that_are_kept_do_not_wait() -> None:
    (balance,) = balances([lane(1, 8, (1, 5), (6, 8))], [stored(8, 1, 8)])
    assert (balance.waiting, balance.oldest, balance.missing) == (0, None, 0)


def test_a_chunk_that_the_mark_cuts_waits_in_part() -> None:
    (balance,) = balances([lane(1, 8, (1, 5), (6, 8))], [stored(6, 1, 6)])
    assert (balance.waiting, balance.missing) == (2, 0)


def test_older_epochs_count_and_newer_ones_wait_whole() -> None:
    lanes = [lane(1, 100), lane(2, 10, (1, 10)), lane(3, 4, (1, 4), at=9)]
    (balance,) = balances(lanes, [stored(110, 2, 10)])
    assert (balance.forwarded, balance.waiting, balance.oldest, balance.missing) == (114, 4, 9, 0)


def test_dead_rows_are_named_and_lost_ones_are_missing() -> None:
    (balance,) = balances([lane(1, 10)], [stored(6, 1, 10, dead=1)])
    assert (balance.dead_lettered, balance.missing) == (1, 3)


def test_a_table_whose_outbox_is_gone_does_not_balance() -> None:
    (balance,) = balances([], [stored(6, 1, 6)])
    assert balance.missing == -6


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4), st.data())
def test_it_balances_wherever_the_mark_stands(epochs: list[list[int]], data: st.DataObject) -> None:
    """`epochs` are the sizes of the chunks that each epoch wrote."""
    lanes: list[LaneReport] = []
    for counter, sizes in enumerate(epochs, 1):
        ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
        lanes.append(
            lane(counter, sum(sizes), *((end - size + 1, end) for size, end in zip(sizes, ends, strict=True)))
        )
    counter = data.draw(st.integers(1, len(epochs)))
    seq = data.draw(st.integers(0, sum(epochs[counter - 1])))
    rows = sum(sum(sizes) for sizes in epochs[: counter - 1]) + seq
    (balance,) = balances(lanes, [stored(rows, counter, seq)])
    assert balance.missing == 0
