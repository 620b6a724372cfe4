"""Messages as datagrams and frames, options and blocks: what is written is read, and rules are kept."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.protocols.coap import Block, CoapError, FormatError, Message, asked_of, decode, encode, request
from rimward.protocols.coap import options as opt
from rimward.protocols.coap.codes import BAD_OPTION, GET, NO_PROXY, POST, code_of, dotted
from rimward.protocols.coap.messages import FrameDecoder, frame
from rimward.protocols.coap.options import block_of, checked, uint, uint_bytes
from rimward.protocols.coap.requests import cache_key

options = st.lists(
    st.tuples(st.integers(0, 65_535), st.binary(max_size=12) | st.binary(min_size=250, max_size=400)),
    max_size=10,
).map(lambda found: sorted(found, key=lambda option: option[0]))
messages = st.builds(
    Message,
    code=st.integers(1, 31) | st.integers(64, 191),
    token=st.binary(max_size=8),
    options=options,
    payload=st.binary(max_size=400),
    type=st.integers(0, 3),
    mid=st.integers(0, 65_535),
)


@given(messages)
def test_a_datagram_says_what_was_written(message: Message) -> None:
    assert decode(encode(message)) == message


@given(st.lists(messages, max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_frames_say_what_was_written_wherever_the_stream_is_cut(sent: list[Message], cuts: list[int]) -> None:
    data = b"".join(map(frame, sent))
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    decoder, heard = FrameDecoder(1 << 20), list[Message]()
    for start, end in pairwise(places):
        heard += decoder.feed(data[start:end])
    plain = [Message(one.code, one.token, one.options, one.payload) for one in sent]
    assert (heard, decoder.error) == (plain, None)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_format_error(data: bytes) -> None:
    for one in (data, b"\x40" + data, b"\x44\x02\x00\x01" + data):
        try:
            message = decode(one)
        except FormatError:
            continue
        assert message is None or message.code == 0 or decode(encode(message)) == message


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_stream_ends_in_messages_and_at_most_one_error(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(200)
    for piece in pieces:
        decoder.feed(piece)
    assert len(decoder._rest) <= 264
    if decoder.error is not None:
        assert decoder.feed(b"\x00\xe1") == []


@pytest.mark.parametrize("size", [12, 13, 268, 269, 65_804, 65_805, 70_000])
def test_a_frame_of_each_form_of_length_is_read(size: int) -> None:
    sent = Message(POST, b"t", [], b"x" * (size - 1))
    [heard] = FrameDecoder(1 << 20).feed(frame(sent))
    assert heard.payload == sent.payload


def test_a_frame_larger_than_its_limit_is_refused_before_it_is_read() -> None:
    decoder = FrameDecoder(100)
    assert decoder.feed(b"\xf0\xff\xff\xff\xff") == []
    assert decoder.error is not None


@pytest.mark.parametrize(("value", "data"), [(0, b""), (1, b"\1"), (255, b"\xff"), (256, b"\1\0")])
def test_numbers_take_as_few_bytes_as_they_can(value: int, data: bytes) -> None:
    assert (uint_bytes(value), uint(data)) == (data, value)
    assert uint(b"\0\0" + data) == value


@pytest.mark.parametrize("text", ["2.05", "4.04", "4.22", "5.03", "2.31"])
def test_codes_are_written_as_people_do(text: str) -> None:
    assert dotted(code_of(text)) == text


@given(st.integers(0, (1 << 20) - 1), st.booleans(), st.integers(0, 6))
def test_a_block_is_what_its_option_says(number: int, more: bool, szx: int) -> None:  # noqa: FBT001 (drawn by name)
    block = Block(number, more, szx)
    assert block_of(block.encode(), bert=False) == block
    assert block.start == number * (16 << szx)


def test_the_size_of_bert_is_for_streams() -> None:
    with pytest.raises(CoapError, match="reliable"):
        block_of(b"\7", bert=False)
    assert block_of(b"\7", bert=True).size == 1024


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ((9, b""), "not understood"),  # OSCORE, which is critical
        ((65_001, b""), "not understood"),
        ((opt.IF_NONE_MATCH, b"x"), "0 to 0"),
        ((opt.URI_HOST, b""), "1 to 255"),
        ((opt.ACCEPT, b"\0\0\0"), "0 to 2"),
        ((opt.BLOCK2, b"\0\0\0\0"), "0 to 3"),
    ],
)
def test_a_critical_option_that_is_not_understood_is_refused(option: tuple[int, bytes], why: str) -> None:
    with pytest.raises(CoapError, match=why) as error:
        checked([option])
    assert error.value.answer == BAD_OPTION


def test_a_critical_option_that_stands_twice_is_refused_and_an_elective_one_left_out() -> None:
    with pytest.raises(CoapError, match="twice"):
        checked([(opt.ACCEPT, b"2"), (opt.ACCEPT, b"2")])
    twice = [(opt.CONTENT_FORMAT, b"2"), (opt.CONTENT_FORMAT, b"3")]
    assert checked(twice) == twice[:1]
    assert checked([(2048, b"elective"), (opt.MAX_AGE, b"12345")]) == []
    assert checked([(opt.URI_PATH, b"a"), (opt.URI_PATH, b"a")]) == [(opt.URI_PATH, b"a")] * 2


@pytest.mark.parametrize(
    ("options_", "code"),
    [
        ([(opt.PROXY_URI, b"coap://elsewhere/")], NO_PROXY),
        ([(opt.PROXY_SCHEME, b"http")], NO_PROXY),
        ([(opt.URI_PATH, b"\xff")], 0x80),
        ([(opt.URI_PATH, b"..")], 0x80),
        ([(opt.URI_QUERY, b"\xff")], 0x80),
        ([(opt.BLOCK1, b"\7")], 0x80),
    ],
)
def test_what_this_node_can_not_do_is_said_with_its_code(options_: opt.Options, code: int) -> None:
    with pytest.raises(CoapError) as error:
        asked_of(Message(GET, options=options_))
    assert error.value.answer == code


def test_a_request_is_read_as_it_was_made() -> None:
    more = [(opt.OBSERVE, b""), (opt.ETAG, b"e"), (opt.IF_MATCH, b"m"), (opt.NO_RESPONSE, b"\2")]
    made = request(GET, "/meters/7?unit=kwh&raw", accept=60, content_format=50, more=more)
    asked = asked_of(made)
    assert (asked.segments, asked.queries) == (["meters", "7"], ["unit=kwh", "raw"])
    assert (asked.accept, asked.content_format, asked.observe) == (60, 50, 0)
    assert (asked.etags, asked.if_match, asked.no_response, asked.conditional) == ([b"e"], [b"m"], 2, True)


def test_a_block_of_a_request_belongs_to_the_same_transfer_as_the_others() -> None:
    first = request(POST, "/photo", content_format=42, more=[(opt.BLOCK1, b"\x0e"), (opt.SIZE1, b"\xff")])
    then = request(POST, "/photo", content_format=42, more=[(opt.BLOCK1, b"\x16")])
    assert cache_key(first) == cache_key(then)
    assert cache_key(first) != cache_key(request(POST, "/photos", content_format=42))
    tagged = request(POST, "/photo", more=[(opt.REQUEST_TAG, b"2")])
    assert cache_key(first) != cache_key(tagged)
