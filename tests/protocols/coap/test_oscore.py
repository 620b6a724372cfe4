"""OSCORE without I/O, against the test vectors of RFC 8613, Appendix C, and by round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.coap import CoapError, Message, decode, encode, request
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.oscore import (
    Compressed,
    Context,
    Keys,
    Window,
    open_request,
    open_response,
    protect_request,
    protect_response,
)
from rimward.protocols.coap.oscore.compressed import compressed_of
from rimward.protocols.coap.oscore.context import aad_of
from rimward.protocols.coap.oscore.messages import header_of

h = bytes.fromhex
SECRET, SALT, ID_CONTEXT = h("0102030405060708090a0b0c0d0e0f10"), h("9e7ca92223786340"), h("37cbf3210017a2d3")
C1 = Keys(b"", b"\x01", SECRET, SALT)
C2 = Keys(b"\x00", b"\x01", SECRET)
C3 = Keys(b"", b"\x01", SECRET, SALT, ID_CONTEXT)


def other(keys: Keys) -> Keys:
    return Keys(keys.recipient, keys.sender, keys.secret, keys.salt, keys.context)


def opened(data: str) -> Message:
    message = decode(h(data))
    assert message is not None
    return message


@pytest.mark.parametrize(
    ("keys", "sender", "recipient", "iv", "nonce"),
    [
        (C1, "f0910ed7295e6ad4b54fc793154302ff", "ffb14e093c94c9cac9471648b4f98710",
         "4622d4dd6d944168eefb54987c", "4722d4dd6d944169eefb54987c"),
        (C2, "321b26943253c7ffb6003b0b64d74041", "e57b5635815177cd679ab4bcec9d7dda",
         "be35ae297d2dace910c52e99f9", "bf35ae297d2dace810c52e99f9"),
        (C3, "af2a1300a5e95788b356336eeecd2b92", "e39a0c7c77b43f03b4b39ab9a268699f",
         "2ca58fb85ff1b81c0b7181b85e", "2da58fb85ff1b81d0b7181b85e"),
    ],
    ids=["C.1", "C.2", "C.3"],
)  # fmt: skip
def test_keys_are_derived_as_in_the_appendix(
    keys: Keys, sender: str, recipient: str, iv: str, nonce: str
) -> None:
    client, server = Context(keys), Context(other(keys))
    assert (client.sender_key, client.recipient_key, client.common_iv) == (h(sender), h(recipient), h(iv))
    assert (server.sender_key, server.recipient_key, server.common_iv) == (h(recipient), h(sender), h(iv))
    assert client.nonce(b"\x01", b"\0") == h(nonce)


@pytest.mark.parametrize(
    ("keys", "plain", "sealed"),
    [
        (C1, "44015d1f00003974396c6f63616c686f737483747631",
         "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e"),
        (C2, "440171c30000b932396c6f63616c686f737483747631",
         "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0"),
        (C3, "44012f8eef9bbf7a396c6f63616c686f737483747631",
         "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3"),
    ],
    ids=["C.4", "C.5", "C.6"],
)  # fmt: skip
def test_requests_are_those_of_the_appendix(keys: Keys, plain: str, sealed: str) -> None:
    message, asking = protect_request(Context(keys), opened(plain), 20)
    assert encode(message) == h(sealed)
    header, found = header_of(opened(sealed))
    assert (header.context, found) == (keys.context, asking)
    assert encode(open_request(Context(other(keys)), opened(sealed), found)) == h(plain)


@pytest.mark.parametrize(
    ("sequence", "sealed"),
    [
        (None, "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106"),
        (0, "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"),
    ],
    ids=["C.7", "C.8"],
)
def test_responses_are_those_of_the_appendix(sequence: int | None, sealed: str) -> None:
    plain = "64455d1f00003974ff48656c6c6f20576f726c6421"
    _, asking = protect_request(Context(C1), request(1, "tv1"), 20)
    message = protect_response(Context(other(C1)), opened(plain), asking, sequence)
    assert encode(message) == h(sealed)
    assert encode(open_response(Context(C1), opened(sealed), asking)) == h(plain)


def test_the_additional_data_is_that_of_the_appendix() -> None:
    assert aad_of(b"\0", b"\x14") == h("8368456e63727970743040498501810a4100411440")


@pytest.mark.parametrize(
    ("header", "value"),  # RFC 8613 §6.3
    [
        (Compressed(b"\x05", h("25")), "090525"),
        (Compressed(b"\0", b""), "0900"),
        (Compressed(b"\x05", b"", h("44616c656b")), "19050544616c656b"),
        (Compressed(), ""),
        (Compressed(b"\x07"), "0107"),
    ],
)
def test_the_option_is_compressed_as_in_the_examples(header: Compressed, value: str) -> None:
    assert header.encode() == h(value)
    assert compressed_of(h(value)) == header


@pytest.mark.parametrize(
    "value", ["00", "0600000000000000", "2900", "19", "1905", "190509", "0905", "010525"]
)
def test_an_option_that_can_not_be_read_is_a_bad_option(value: str) -> None:
    message = Message(2, options=[(opt.OSCORE, h(value))], payload=b"x" if value != "0905" else b"")
    with pytest.raises(CoapError) as caught:
        header_of(message)
    assert caught.value.answer == 0x82


def test_what_was_changed_on_the_way_does_not_open() -> None:
    message, asking = protect_request(Context(C1), request(1, "doors/7"), 1)
    for at in range(len(message.payload)):
        sealed = bytearray(message.payload)
        sealed[at] ^= 1
        with pytest.raises(CoapError, match="not genuine"):
            open_request(
                Context(other(C1)), Message(2, options=message.options, payload=bytes(sealed)), asking
            )
    with pytest.raises(CoapError, match="not genuine"):
        open_request(Context(other(C1)), Message(2, options=message.options, payload=b"x"), asking)


def test_options_outside_that_belong_inside_are_passed_over() -> None:
    message, asking = protect_request(Context(C1), request(1, "doors/7"), 1)
    message.options = sorted([*message.options, (opt.URI_PATH, b"vault"), (opt.URI_HOST, b"node")])
    inner = open_request(Context(other(C1)), message, asking)
    assert inner.options == [(opt.URI_HOST, b"node"), (opt.URI_PATH, b"doors"), (opt.URI_PATH, b"7")]


def test_an_observation_whose_option_a_proxy_took_off_is_a_plain_request() -> None:
    message, asking = protect_request(Context(C1), request(1, "doors", more=[(opt.OBSERVE, b"")]), 1)
    assert (message.code, message.get(opt.OBSERVE)) == (5, b"")
    assert open_request(Context(other(C1)), message, asking).get(opt.OBSERVE) == b""
    message.options = [option for option in message.options if option[0] != opt.OBSERVE]
    assert open_request(Context(other(C1)), message, asking).get(opt.OBSERVE) is None


def test_a_notification_is_numbered_outside_by_its_partial_iv() -> None:
    _, asking = protect_request(Context(C1), request(1, "doors"), 1)
    plain = Message(0x45, options=[(opt.OBSERVE, b"\x07")], payload=b"open")
    message = protect_response(Context(other(C1)), plain, asking, 0x1020304)
    assert (message.code, message.get(opt.OBSERVE)) == (0x45, h("020304"))
    inner = open_response(Context(C1), message, asking)
    assert (inner.options, inner.payload) == ([(opt.OBSERVE, b"")], b"open")


def test_a_response_that_is_not_protected_does_not_open() -> None:
    _, asking = protect_request(Context(C1), request(1, "doors"), 1)
    with pytest.raises(CoapError, match="not protected"):
        open_response(Context(C1), Message(0x45, payload=b"open"), asking)


@given(st.lists(st.integers(0, 120), min_size=1, max_size=80))
def test_a_number_is_fresh_once_and_only_near_the_highest(numbers: list[int]) -> None:
    window, seen, highest = Window(32), set[int](), 0
    assert not window.fresh(5)
    window.begin(0)
    seen.add(0)
    for number in numbers:
        expected = number not in seen and number > highest - 32
        assert window.fresh(number) is expected
        if expected:
            window.accept(number)
            seen.add(number)
            highest = max(highest, number)


def test_what_lies_below_the_first_number_is_old() -> None:
    window = Window()
    window.begin(100)
    assert not any(window.fresh(number) for number in range(101))
    assert window.fresh(101)
