"""What a node says it serves, and the bounded list of who observes it."""

import pytest

from rimward.protocols.coap import SECOND, Link, ObserveLimits, Observer, Observers
from rimward.protocols.coap.links import filtered, written

LINKS = [
    Link("/meters/7", (("rt", "meter energy"), ("ct", "50 60"), ("obs", ""))),
    Link("/door", (("rt", "door"), ("ct", "0"), ("title", 'the "big" door'))),
]


def test_links_are_written_as_the_format_wants_them() -> None:
    assert written(LINKS) == (
        '</meters/7>;rt="meter energy";ct="50 60";obs,</door>;rt="door";ct=0;title="the \\"big\\" door"'
    )


@pytest.mark.parametrize(
    ("queries", "targets"),
    [
        ([], ["/meters/7", "/door"]),
        (["rt=energy"], ["/meters/7"]),
        (["rt=met*"], ["/meters/7"]),
        (["rt=meter energy"], []),
        (["ct=60"], ["/meters/7"]),
        (["obs"], ["/meters/7"]),
        (["href=/d*"], ["/door"]),
        (["href=/d"], []),
        (["rt=*", "ct=0"], ["/door"]),
        (["if=x"], []),
    ],
)
def test_a_query_picks_links_by_an_attribute(queries: list[str], targets: list[str]) -> None:
    assert [link.target for link in filtered(LINKS, queries)] == targets


def observer(peer: str, token: bytes, stopped: list[bytes] | None = None) -> Observer:
    return Observer(peer, token, None, lambda: stopped.append(token) if stopped is not None else None)


def test_observers_are_bounded_in_all_and_for_each_peer() -> None:
    observers = Observers(ObserveLimits(observers=3, of_peer=2))
    observers.add(observer("a", b"1"), 0)
    observers.add(observer("a", b"2"), 0)
    assert not observers.room("a")
    observers.add(observer("b", b"1"), 0)
    assert not observers.room("b")
    observers.drop("a", b"1")
    assert observers.room("b")
    assert (len(observers), observers.of("a"), observers.of("c")) == (2, 1, 0)


def test_who_registers_again_under_its_token_has_one_observation_whose_numbers_go_on() -> None:
    observers, stopped = Observers(ObserveLimits()), list[bytes]()
    first, second = observer("a", b"1", stopped), observer("a", b"1")
    observers.add(first, 0)
    numbers = [first.next_sequence(), first.next_sequence()]
    observers.add(second, 0)
    assert [*numbers, second.next_sequence()] == [2, 3, 4]
    assert (len(observers), stopped, observers.counters["registered"]) == (1, [b"1"], 1)
    assert not observers.holds(first)
    assert observers.holds(second)


def test_numbers_begin_anew_after_twenty_four_bits() -> None:
    one = observer("a", b"1")
    one.sequence = (1 << 24) - 1
    assert one.next_sequence() == 0


def test_seldom_notifications_are_confirmable_and_of_a_burst_each_nth() -> None:
    observers, one = Observers(ObserveLimits(confirm_every=4, quiet=60)), observer("a", b"1")
    observers.add(one, 0)
    burst = [observers.confirms(one, SECOND * n) for n in range(1, 9)]
    assert burst == [False, False, False, True, False, False, False, True]
    assert not observers.confirms(one, SECOND * 67)
    assert observers.confirms(one, SECOND * 127)


def test_once_a_day_a_notification_is_confirmable_whatever_else() -> None:
    observers, one = Observers(ObserveLimits(confirm_every=10**9, quiet=3600)), observer("a", b"1")
    observers.add(one, 0)
    confirmed = [minute for minute in range(1, 2000) if observers.confirms(one, minute * 60 * SECOND)]
    assert confirmed == [1440]
