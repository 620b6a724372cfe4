"""The window against links of every kind: as much as they carry is on its way, and little more."""

import heapq

import pytest

from rimward.network.config import UplinkConfig
from rimward.network.window import LEAST, Window


class Pipe:
    """A link of so many bytes a second and seconds there and back, with a bus that syncs each envelope."""

    def __init__(self, rate: float, rtt: float, sync: float = 0.0) -> None:
        self.rate, self.rtt, self.sync = rate, rtt, sync
        self.window = Window(UplinkConfig().window, UplinkConfig().window_bytes)
        self.now = self.free_at = self.synced_at = 0.0
        self.answered = 0  # bytes
        self.queue = 0.0  # seconds that a byte given to the link now would wait for its turn
        self._coming: list[tuple[float, int, int, float]] = []

    def run(self, seconds: float, size: int) -> None:
        end = self.now + seconds
        while self.now < end:
            while self.window.room():
                self._send(size)
            self.queue = max(0.0, self.free_at - self.now)
            at, size_, flew, sent_at = heapq.heappop(self._coming)
            self.now = at
            self.window.taken(size_, flew, at - sent_at, at)
            self.answered += size_

    def _send(self, size: int) -> None:
        self.free_at = max(self.free_at, self.now) + size / self.rate
        self.synced_at = max(self.synced_at, self.free_at + self.rtt / 2) + self.sync
        flew = self.window.sent(size)
        heapq.heappush(self._coming, (self.synced_at + self.rtt / 2, size, flew, self.now))


@pytest.mark.parametrize(
    ("rate", "rtt", "size"),
    [
        (8_000.0, 0.6, 2_000),
        (8_000.0, 0.05, 2_000),
        (125_000.0, 0.6, 10_000),
        (1_250_000.0, 0.6, 10_000),
        (12_500_000.0, 0.6, 16_000),
        (12_500_000.0, 0.001, 10_000),
    ],
)
def test_a_link_is_full_and_its_queue_is_short(rate: float, rtt: float, size: int) -> None:
    pipe = Pipe(rate, rtt)
    pipe.run(30, size)  # until it knows the link
    before = pipe.answered
    pipe.run(30, size)
    assert pipe.answered - before > 0.85 * rate * 30
    assert pipe.queue < max(4 * size / rate, 0.2, 1.5 * rtt) + 0.1


def test_a_bus_that_syncs_each_envelope_is_kept_busy() -> None:
    pipe = Pipe(100e6, 0.0005, sync=0.0004)
    pipe.run(5, 10_000)
    before = pipe.answered
    pipe.run(5, 10_000)
    assert pipe.answered - before > 0.95 * 5 / 0.0004 * 10_000


def test_a_way_that_becomes_longer_is_filled_again_after_a_while() -> None:
    pipe = Pipe(125_000.0, 0.05)
    pipe.run(20, 10_000)
    pipe.rtt = 0.6
    pipe.run(60, 10_000)
    before = pipe.answered
    pipe.run(30, 10_000)
    assert pipe.answered - before > 0.8 * 125_000 * 30


def test_two_envelopes_may_always_fly_and_never_more_than_the_settings_say() -> None:
    window = Window(4, 100)
    assert [window.sent(10_000) for _ in range(LEAST)] == [1, 2]
    assert not window.room()
    small = Window(4, 10_000)
    while small.room():
        small.sent(1)
    assert small.flying == 4
    assert Window(1, 100).room()


def test_a_new_connection_begins_with_an_empty_window() -> None:
    window = Window(4, 100)
    window.sent(90)
    window.taken(90, 1, 0.5, 0.5)
    window.sent(90)
    window.reset()
    assert (window.flying, window.bytes, window.base) == (0, 0, None)
