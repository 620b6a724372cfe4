"""Whatever comes in, at whatever time: the endpoint never raises, and holds its bounds."""

from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.coap import SECOND, Bounds, CoapError, Message, Timing, asked_of, decode, encode
from rimward.protocols.coap.codes import CONTENT, EMPTY

from .bench import ALICE, BOB, Bench

BOUNDS = Bounds(
    exchanges=12, exchange_bytes=400, exchanges_of_peer=8, pending=6, pending_of_peer=4, queued_of_peer=3,
    outstanding=5,
)  # fmt: skip
peers = st.sampled_from([ALICE, BOB, ("198.51.100.3", 3)])
mids = st.integers(0, 6)
known = st.builds(
    Message,
    code=st.sampled_from([0, 1, 2, 4, 31, 0x45, 0x84]),
    token=st.binary(max_size=2),
    options=st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=5)), max_size=4).map(sorted),
    payload=st.binary(max_size=9),
    type=st.integers(0, 3),
    mid=mids,
).map(encode)


def empty(kind: int, mid: int) -> bytes:
    return bytes((0x40 | kind << 4, 0, 0, mid))


empties = st.builds(empty, st.integers(0, 3), mids)
datagrams = known | empties | st.binary(max_size=40)
steps = st.lists(
    st.tuples(st.just("in"), datagrams, peers)
    | st.tuples(st.just("answer"), st.integers(0, 5), st.binary(max_size=60))
    | st.tuples(st.just("hold"), st.integers(0, 5), st.none())
    | st.tuples(st.just("notify"), st.booleans(), peers)
    | st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5, 2.0, 50.0, 247.0]), st.none()),
    max_size=60,
)


@given(steps)
def test_nothing_that_comes_in_breaks_the_endpoint_or_its_bounds(told: list[tuple[str, Any, Any]]) -> None:
    bench = Bench(Timing(), BOUNDS)
    pending: list[Any] = []
    for verb, what, which in told:
        if verb == "in":
            exchange = bench.receive(what, which)
            if exchange is not None and (bench.endpoint.full or bench.endpoint.crowded(which)):
                bench.respond(exchange, b"")
            elif exchange is not None:
                pending.append(exchange)
        elif verb == "answer" and pending:
            bench.respond(pending.pop(what % len(pending)), which)
        elif verb == "hold" and pending:
            bench.hold(pending[what % len(pending)])
        elif verb == "notify" and what:
            bench.endpoint.sending.confirmable(which, Message(CONTENT, b"n"), bench.now)
        elif verb == "wait":
            bench.pass_time(what)
        endpoint = bench.endpoint
        assert endpoint.pending == len(pending) <= BOUNDS.pending
        assert endpoint.remembered <= BOUNDS.exchanges + len(pending)
        assert len(endpoint.sending) <= BOUNDS.outstanding
        assert endpoint._bytes == sum(len(one.answer) for one in endpoint._known.values())
        assert sum(map(len, endpoint._of_peer.values())) == endpoint.remembered
    while pending:
        bench.respond(pending.pop())
    bench.pass_time(247 * 60)
    bench.endpoint.forget(bench.now)
    assert (bench.endpoint.remembered, len(bench.endpoint.sending), bench.endpoint.pending) == (0, 0, 0)
    assert bench.endpoint.deadline is None


@given(known.filter(lambda data: data[1] != EMPTY))
def test_the_options_of_any_message_are_read_or_refused(data: bytes) -> None:
    message = decode(data)
    assert message is not None
    for bert in (False, True):
        with suppress(CoapError):
            asked_of(message, bert=bert)


@given(st.lists(datagrams, max_size=40))
def test_no_datagram_is_answered_with_more_bytes_than_it_had(told: list[bytes]) -> None:
    bench = Bench()
    for data in told:
        exchange = bench.endpoint.receive(data, ALICE, SECOND)
        assert sum(len(sent) for sent, _ in bench.endpoint.outgoing) <= len(data)
        bench.endpoint.outgoing.clear()
        if exchange is not None:
            bench.endpoint.reject(exchange)
            bench.endpoint.outgoing.clear()
