"""Half-dead connections are dropped, slow ones are not."""

from rimward.network.liveness import PATIENCE, QUEUE, SILENCE, Liveness


def test_a_connection_on_which_nothing_comes_back_is_dead() -> None:
    alive = Liveness(0)
    assert not alive.dead(SILENCE)
    assert alive.dead(SILENCE + 0.1)
    alive.heard(SILENCE)
    assert not alive.dead(2 * SILENCE)
    assert alive.dead(2 * SILENCE + 0.1)


def test_a_slow_link_whose_queue_gets_shorter_is_waited_for() -> None:
    alive, size = Liveness(0), 100 * QUEUE
    for second in range(50):
        alive.queued(size, second)
        size -= QUEUE
        assert not alive.dead(second)
    assert alive.dead(PATIENCE + 1), "but not for ever"


def test_a_queue_that_stands_or_grows_is_no_excuse() -> None:
    alive = Liveness(0)
    for second in range(20):
        alive.queued(50 * QUEUE + second // 2, second)
    assert alive.dead(SILENCE + 0.1)


def test_a_proxy_that_takes_pings_for_a_peer_that_is_gone_is_no_excuse() -> None:
    alive = Liveness(0)
    for second in range(20):
        alive.queued(6, second)
        alive.queued(0, second + 0.5)
    assert alive.dead(SILENCE + 0.1)
