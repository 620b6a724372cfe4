"""Ways to a hub, and the pauses between tries."""

from rimward.network.ways import BUSY_MOST, FORBIDDEN, RETRY, RETRY_MOST, Ways


def test_each_address_is_tried_in_its_order_before_any_pause() -> None:
    ways, tried = Ways(["a", "b", "c"], lambda: 1.0), list[str]()
    pauses: list[float] = []
    for _ in range(6):
        tried.append(ways.url)
        pauses.append(ways.unreachable())
    assert tried == ["a", "b", "c", "a", "b", "c"]
    assert pauses == [0, 0, RETRY, 0, 0, 2 * RETRY]


def test_a_bus_that_comes_back_is_found_within_two_seconds() -> None:
    ways = Ways(["a"], lambda: 1.0)
    assert max(ways.unreachable() for _ in range(50)) == RETRY_MOST


def test_after_a_break_the_best_address_comes_first() -> None:
    ways = Ways(["a", "b"], lambda: 1.0)
    ways.unreachable()
    assert (ways.url, ways.rank) == ("b", 1)
    ways.works()
    assert ways.broke() == RETRY
    assert ways.url == "a"


def test_buses_that_answer_and_get_nothing_through_are_asked_less_and_less() -> None:
    ways = Ways(["a"], lambda: 1.0)
    pauses = [ways.broke() for _ in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == BUSY_MOST
    ways.works()
    assert ways.broke() == RETRY


def test_nodes_that_lost_the_same_bus_do_not_come_back_at_once() -> None:
    chances = iter([0.0, 0.5, 1.0])
    ways = Ways(["a"], lambda: next(chances))
    pauses = [ways.forbidden() for _ in range(3)]
    assert pauses == [0.5 * FORBIDDEN, 0.75 * FORBIDDEN, FORBIDDEN]
