"""The emulator's core: every packet arrives once, later or not at all, and each is counted."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimward.lab.emulator.impairment import Direction, ImpairmentError
from rimward.lab.emulator.switch import Switch
from rimward.lab.emulator.wire import Wire

SHARES = st.floats(0, 1)
DIRECTIONS = st.builds(
    Direction,
    delay=st.floats(0, 2),
    jitter=st.floats(0, 1),
    loss=SHARES,
    burst=st.floats(1, 20),
    rate=st.none() | st.floats(1_000, 1e9),
    queue=st.integers(1500, 100_000),
    reorder=SHARES,
    duplicate=SHARES,
    up=st.booleans(),
)


def arrivals(wire: Wire) -> list[tuple[float, bytes]]:
    found: list[tuple[float, bytes]] = []
    while (time := wire.deadline()) is not None:
        found += [(time, packet) for packet in wire.due(time)]
    return found


def packet(number: int, size: int = 100) -> bytes:
    return number.to_bytes(4, "big").ljust(size, b"\0")


@given(st.lists(st.tuples(st.floats(0, 0.1), st.integers(20, 1500)), max_size=60), DIRECTIONS)
def test_every_packet_is_passed_or_counted_as_gone(
    sent: list[tuple[float, int]], direction: Direction
) -> None:
    wire, now = Wire(direction, "x"), 0.0
    for number, (pause, size) in enumerate(sent):
        now += pause
        wire.enter(packet(number, size), now)
    came = arrivals(wire)
    count = wire.counters
    gone = count["down"] + count["lost"] + count["full"] + count["held"]
    assert len(came) == count["passed"] == len(sent) - gone + count["duplicated"]
    assert count["entered"] == len(sent)
    assert all(before <= after for (before, _), (after, _) in pairwise(came))


@settings(max_examples=25)
@given(DIRECTIONS, st.sampled_from("xyz"))
def test_a_seed_means_the_same_packets_again(direction: Direction, seed: str) -> None:
    def run() -> list[tuple[float, bytes]]:
        wire = Wire(direction, seed)
        for number in range(30):
            wire.enter(packet(number), number * 0.01)
        return arrivals(wire)

    assert run() == run()


def test_a_packet_takes_its_delay_and_never_less() -> None:
    wire = Wire(Direction(delay=0.3, jitter=0.1), "x")
    for number in range(200):
        wire.enter(packet(number), number * 1.0)
    taken = [time - int.from_bytes(data[:4], "big") for time, data in arrivals(wire)]
    assert min(taken) >= 0.3
    assert 0.38 < max(taken) <= 0.4 + 1e-9
    assert 0.34 < sum(taken) / 200 < 0.36


def test_jitter_alone_reorders_nothing_and_reordering_does() -> None:
    orders: dict[float, list[int]] = {}
    for share in (0.0, 0.2):
        wire = Wire(Direction(delay=0.3, jitter=0.3, reorder=share), "x")
        for number in range(200):
            wire.enter(packet(number), number * 0.01)
        orders[share] = [int.from_bytes(data[:4], "big") for _, data in arrivals(wire)]
    assert orders[0.0] == list(range(200))
    assert orders[0.2] != list(range(200))
    assert sorted(orders[0.2]) == list(range(200))


def test_a_rate_spaces_packets_and_what_its_queue_can_not_hold_is_dropped() -> None:
    wire = Wire(Direction(rate=64_000, queue=8_000), "x")  # a packet of 800 bytes takes 0.1 s
    for number in range(20):
        wire.enter(packet(number, 800), 0.0)
    came = arrivals(wire)
    assert len(came) == 10
    assert wire.counters["full"] == 10
    assert [round(time, 6) for time, _ in came] == [round(0.1 * n, 6) for n in range(1, 11)]
    wire.enter(packet(21, 800), 1.0)
    assert wire.deadline() == pytest.approx(1.1), "the queue is empty again"


@pytest.mark.parametrize(("burst", "rows"), [(1.0, 1.43), (5.0, 5.0)])
def test_loss_is_as_asked_for_and_so_are_its_bursts(burst: float, rows: float) -> None:
    wire = Wire(Direction(loss=0.3, burst=burst), "x")
    lost: list[bool] = []
    for number in range(20_000):
        before = wire.counters["lost"]
        wire.enter(packet(number), 0.0)
        lost.append(wire.counters["lost"] > before)
    assert 0.28 < sum(lost) / len(lost) < 0.32
    starts = sum(now and not before for before, now in pairwise(lost))
    assert 0.9 * rows < sum(lost) / starts < 1.1 * rows


def test_a_cut_takes_what_is_on_its_way_and_a_mended_link_is_empty() -> None:
    wire = Wire(Direction(delay=1.0), "x")
    wire.enter(packet(1), 0.0)
    wire.change(Direction(delay=1.0, up=False))
    wire.enter(packet(2), 0.5)
    assert wire.due(9.0) == []
    assert (wire.counters["cut"], wire.counters["down"]) == (1, 1)
    wire.change(Direction(delay=1.0))
    wire.enter(packet(3), 10.0)
    assert wire.due(11.0) == [packet(3)]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"loss": 1.1}, "loss is 1.1"),
        ({"loss": float("nan")}, "loss is nan"),
        ({"delay": -0.1}, "delay is -0.1"),
        ({"burst": 0.5}, "burst is 0.5"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"queue": 100}, "queue is 100 bytes"),
    ],
)
def test_links_that_there_can_not_be_are_refused(values: dict[str, Any], names: str) -> None:
    with pytest.raises(ImpairmentError, match=names):
        Wire(Direction(**values), "x")


def ipv4(source: int, destination: int) -> bytes:
    return bytes((0x45, *[0] * 11, 10, 0, 0, source, 10, 0, 0, destination))


def test_a_packet_goes_where_its_address_says_and_strays_are_counted() -> None:
    switch = Switch({"a": bytes((10, 0, 0, 1)), "b": bytes((10, 0, 0, 2))}, seed=1)
    switch.enter("a", ipv4(1, 2), 0.0)
    switch.enter("a", ipv4(1, 9), 0.0)
    switch.enter("a", ipv4(1, 1), 0.0)
    switch.enter("a", b"\x60" + bytes(39), 0.0)
    switch.enter("a", b"", 0.0)
    assert switch.due(0.0) == [("b", ipv4(1, 2))]
    assert switch.deadline() is None
    assert switch.counters()["strays"] == {"no such address": 2, "not IPv4": 2}


def test_one_direction_may_be_cut_alone() -> None:
    switch = Switch({"a": bytes((10, 0, 0, 1)), "b": bytes((10, 0, 0, 2))}, seed=1)
    switch.change("b", "a", Direction(up=False))
    switch.enter("a", ipv4(1, 2), 0.0)
    switch.enter("b", ipv4(2, 1), 0.0)
    assert switch.due(0.0) == [("b", ipv4(1, 2))]
    with pytest.raises(KeyError):
        switch.change("a", "c", Direction())
