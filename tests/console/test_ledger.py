"""The ledger's equation: each term is counted where its rows are, and what nobody counted is missing."""

from hypothesis import given
from hypothesis import strategies as st

from rimward.cloud.ledger.stored import Stored
from rimward.console.ledger import balances
from rimward.wire.account import Account, Held, LaneAccount

SECOND = 1_000_000_000


def lane(forwarded: int, *held: tuple[int, int, int], name: str = "motion", **discarded: int) -> LaneAccount:
    """Return a lane that holds chunks (counter, first, last) on a disk that is at hand."""
    return LaneAccount(name, forwarded, discarded, tuple(Held(*one, 7) for one in held))


def here(*lanes: LaneAccount) -> Account:
    return Account("node-1", "o1", lanes)


def told(forwarded: int, waiting: int = 0, **discarded: int) -> LaneAccount:
    """Return a lane as its node reported it."""
    return LaneAccount("motion", forwarded, discarded, None, waiting, 7 if waiting else None)


def stored(rows: int, counter: int = 1, seq: int = 0, dead: int = 0, **causes: int) -> Stored:
    return Stored("node-1", "motion", rows, dead, counter, seq, lost=sum(causes.values()), causes=causes)


def test_all_that_no_table_knows_waits() -> None:
    (balance,) = balances([here(lane(8, (1, 1, 5), (1, 6, 8)))], [])
    assert (balance.forwarded, balance.stored, balance.waiting, balance.missing) == (8, 0, 8, 0)


def test_committed_rows_that_are_kept_do_not_wait() -> None:
    (balance,) = balances([here(lane(8, (1, 1, 5), (1, 6, 8)))], [stored(8, 1, 8)])
    assert (balance.waiting, balance.oldest, balance.missing) == (0, None, 0)


def test_a_chunk_that_the_mark_cuts_waits_in_part() -> None:
    (balance,) = balances([here(lane(8, (1, 1, 5), (1, 6, 8)))], [stored(6, 1, 6)])
    assert (balance.waiting, balance.missing) == (2, 0)


def test_older_epochs_count_and_newer_ones_wait_whole() -> None:
    lanes = here(lane(114, (2, 1, 10), (3, 1, 4)))
    (balance,) = balances([lanes], [stored(110, 2, 10)])
    assert (balance.forwarded, balance.waiting, balance.oldest, balance.missing) == (114, 4, 7, 0)


def test_dead_rows_are_named_and_lost_ones_are_missing() -> None:
    (balance,) = balances([here(lane(10))], [stored(6, 1, 10, dead=1)])
    assert (balance.dead_lettered, balance.missing) == (1, 3)


def test_a_table_whose_outbox_is_gone_does_not_balance() -> None:
    (balance,) = balances([], [stored(6, 1, 6)])
    assert balance.missing == -6


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4), st.data())
def test_it_balances_wherever_the_mark_stands(epochs: list[list[int]], data: st.DataObject) -> None:
    """`epochs` are the sizes of the chunks that each epoch wrote."""
    held: list[tuple[int, int, int]] = []
    for counter, sizes in enumerate(epochs, 1):
        ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
        held += [(counter, end - size + 1, end) for size, end in zip(sizes, ends, strict=True)]
    lanes = here(lane(sum(map(sum, epochs)), *held))
    counter = data.draw(st.integers(1, len(epochs)))
    seq = data.draw(st.integers(0, sum(epochs[counter - 1])))
    rows = sum(sum(sizes) for sizes in epochs[: counter - 1]) + seq
    (balance,) = balances([lanes], [stored(rows, counter, seq)])
    assert balance.missing == 0


def test_a_row_that_is_gone_from_the_disk_is_missing_and_not_waiting() -> None:
    """What waits is counted: it is not what is left over."""
    (balance,) = balances([here(lane(8, (1, 1, 5)))], [stored(0)])
    assert (balance.waiting, balance.missing) == (5, 3)


def test_what_was_given_up_is_named_by_its_cause_once() -> None:
    account = here(lane(20, (1, 11, 20), shed=6, corrupt=1))
    (balance,) = balances([account], [stored(2, 1, 10, shed=4, corrupt=1, forgotten=1)])
    assert balance.causes == {"corrupt": 1, "forgotten": 1, "shed": 6}, "a record that is on its way counts"
    assert (balance.discarded, balance.missing) == (8, 0)


def test_what_retention_and_erasure_took_is_counted_by_the_table() -> None:
    table = Stored("node-1", "motion", 3, 0, 1, 10, expired=5, erased=2)
    (balance,) = balances([here(lane(10))], [table])
    assert (balance.expired, balance.erased, balance.missing) == (5, 2, 0)


def test_lanes_that_end_in_one_table_are_one_equation_each_with_its_own_mark() -> None:
    account = here(lane(9, (1, 1, 9)), lane(4, (1, 1, 4), name="motion-1"))
    table = Stored("node-1", "motion", 7, 0, 1, 6, marks={"motion-1": (1, 1)})
    (balance,) = balances([account], [table])
    assert (balance.fact, balance.forwarded, balance.stored, balance.waiting) == ("motion", 13, 7, 6)
    assert balance.missing == 0


def test_a_hub_without_the_nodes_disk_goes_by_the_last_report() -> None:
    report = Account("node-1", "o1", (told(30, waiting=10),), at=99)
    (balance,) = balances([report], [stored(20)])
    assert (balance.waiting, balance.missing, balance.as_of, balance.oldest) == (10, 0, 99, 7)
    (short,) = balances([report], [stored(18)])
    assert short.missing == 2, "rows that the report calls stored are not there"


def lost(report: LaneAccount, rate: float = 0.0, silent: int = 0) -> Account:
    return Account(
        "node-1", "o1", (report,), at=100 * SECOND, end=5, replaced_at=(100 + silent) * SECOND, rate=rate
    )


def test_after_a_lost_disk_the_rest_is_unknown_and_never_nothing() -> None:
    new = Account("node-1", "o2", (lane(4),), first=5)
    tables = [stored(23), Stored("node-1", "motion", 4, 0, 5, 4, first=5)]
    (balance,) = balances([lost(told(30, waiting=10), rate=2.0, silent=6), new], tables)
    assert balance.unknown == (7, 19), "7 were reported and have not come; 6 s at 2 a second were not told of"
    assert (balance.forwarded, balance.stored, balance.missing) == (34, 27, None)
    (calm,) = balances([lost(told(23)), new], tables)
    assert calm.unknown == (0, 1), "all that was reported has come, and still nobody can know"


def test_a_lost_disk_that_had_sent_more_than_it_told_of_is_short_of_nothing() -> None:
    (balance,) = balances([lost(told(20))], [stored(23)])
    assert (balance.forwarded, balance.stored, balance.unknown) == (23, 23, (0, 1))


def test_nodes_are_counted_apart_and_so_are_their_own_records() -> None:
    accounts = [
        Account("a", "o1", (lane(3, (1, 1, 3)), lane(1, (1, 1, 1), name="_clock"))),
        Account("b", "o2", (lane(5, (1, 1, 5)),)),
    ]
    found = balances(accounts, [])
    assert [(one.node, one.fact, one.waiting, one.system) for one in found] == [
        ("a", "_clock", 1, True),
        ("a", "motion", 3, False),
        ("b", "motion", 5, False),
    ]
