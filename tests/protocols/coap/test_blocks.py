"""Bodies in blocks: put together in order, within bounds on size, count and time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.coap import SECOND, Assemblies, Block, BlockLimits, CoapError, Representations, Served
from rimward.protocols.coap.blocks import slice_of
from rimward.protocols.coap.codes import BAD_REQUEST, CONTENT, INCOMPLETE, TOO_LARGE, UNAVAILABLE

SMALL = BlockLimits(body=100, assemblies=3, assembly_bytes=150, timeout=10, served=3, served_bytes=100)


def block(number: int, *, more: bool = True, szx: int = 0) -> Block:
    return Block(number, more, szx)


@given(st.binary(min_size=17, max_size=400), st.integers(0, 3))
def test_a_body_is_what_its_blocks_were(body: bytes, szx: int) -> None:
    assemblies, size = Assemblies(BlockLimits()), 16 << szx
    count = -(-len(body) // size)
    for number in range(count):
        part = body[number * size : (number + 1) * size]
        whole = assemblies.add("k", block(number, more=number + 1 < count, szx=szx), part, None, 0)
        assert whole == (body if number + 1 == count else None)
    assert len(assemblies) == 0
    assert assemblies._bytes == 0


@given(st.binary(max_size=400), st.integers(0, 6))
def test_all_blocks_of_a_payload_are_the_payload(payload: bytes, szx: int) -> None:
    found, one = b"", block(0, szx=szx)
    while True:
        part, said = slice_of(payload, one, 1024)
        found += part
        if not said.more:
            break
        one = block(one.number + 1, szx=szx)
    assert found == payload


def test_a_block_behind_the_end_is_a_bad_request() -> None:
    with pytest.raises(CoapError, match="behind the end") as error:
        slice_of(b"x" * 32, block(2), 1024)
    assert error.value.answer == BAD_REQUEST
    assert slice_of(b"", block(0), 1024) == (b"", Block(0, more=False, szx=0))


def add(
    assemblies: Assemblies, key: str, one: Block, payload: bytes = b"x" * 16, now: int = 0
) -> bytes | None:
    return assemblies.add(key, one, payload, None, now)


@pytest.mark.parametrize(
    ("blocks", "answer"),
    [
        ([(block(1), 16)], INCOMPLETE),
        ([(block(0), 16), (block(2), 16)], INCOMPLETE),
        ([(block(0), 16), (block(0, szx=1), 32), (block(1), 16)], INCOMPLETE),
        ([(block(0), 15)], BAD_REQUEST),
        ([(block(0), 0)], BAD_REQUEST),
        ([(block(n), 16) for n in range(7)], TOO_LARGE),
        ([(block(1 << 19), 16)], TOO_LARGE),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_and_forgotten(
    blocks: list[tuple[Block, int]], answer: int
) -> None:
    assemblies = Assemblies(SMALL)
    for one, size in blocks[:-1]:
        assert add(assemblies, "k", one, b"x" * size) is None
    with pytest.raises(CoapError) as error:
        add(assemblies, "k", blocks[-1][0], b"x" * blocks[-1][1])
    assert error.value.answer == answer
    assert (len(assemblies), assemblies.counters["bodies_refused"]) == (0, 1)


def test_a_body_that_says_it_will_be_too_large_is_refused_with_its_first_block() -> None:
    with pytest.raises(CoapError) as error:
        Assemblies(SMALL).add("k", block(0), b"x" * 16, 101, 0)
    assert error.value.answer == TOO_LARGE


def test_a_transfer_that_begins_anew_forgets_what_was_there() -> None:
    assemblies = Assemblies(SMALL)
    add(assemblies, "k", block(0), b"a" * 16)
    add(assemblies, "k", block(0), b"b" * 16)
    assert add(assemblies, "k", block(1, more=False), b"c") == b"b" * 16 + b"c"


def test_only_so_many_bodies_and_bytes_arrive_at_a_time() -> None:
    assemblies = Assemblies(SMALL)
    for key in "abc":
        add(assemblies, key, block(0))
    with pytest.raises(CoapError) as error:
        add(assemblies, "d", block(0))
    assert error.value.answer == UNAVAILABLE
    for number in range(1, 6):
        add(assemblies, "a", block(number))
        add(assemblies, "b", block(number)) if number < 3 else None
    assert add(assemblies, "c", block(1, more=False), b"") == b"x" * 16
    assert assemblies._bytes == 144
    add(assemblies, "e", block(0))
    assert add(assemblies, "b", block(3, more=False), b"") is not None


def test_a_body_whose_next_block_does_not_come_is_abandoned() -> None:
    assemblies = Assemblies(SMALL)
    add(assemblies, "k", block(0))
    assemblies.expire(10 * SECOND)
    assert (len(assemblies), assemblies.counters["bodies_abandoned"]) == (0, 1)
    with pytest.raises(CoapError, match="0 bytes are here"):
        add(assemblies, "k", block(1), now=10 * SECOND)


def test_representations_make_room_oldest_first_and_go_when_nobody_asks() -> None:
    kept = Representations(SMALL)
    for number in range(5):
        kept.keep(number, Served(CONTENT, [], b"x" * 40, number * SECOND))
    assert [number for number in range(5) if kept.find(number, 5 * SECOND)] == [3, 4]
    assert kept._bytes == 80
    assert kept.find(3, 15 * SECOND) is None
    assert (len(kept), kept._bytes) == (0, 0)


def test_one_representation_larger_than_the_bound_is_still_handed_out() -> None:
    kept = Representations(SMALL)
    kept.keep("k", Served(CONTENT, [], b"x" * 400, 0))
    assert kept.find("k", 0) is not None
