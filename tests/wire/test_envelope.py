import zlib
from datetime import UTC, datetime

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rimward.wire import EnvelopeError, Header, Mark, Marks, Row, decode, encode, encode_raw
from rimward.wire.dictionaries import DICTIONARIES, ENVELOPE

WORDS = zstandard.ZstdCompressionDict(DICTIONARIES[ENVELOPE])
INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    INT64,
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.datetimes(timezones=st.just(UTC)),
)
VALUES = st.lists(st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=5).map(tuple)
ROWS = st.builds(
    Row,
    seq=st.just(0),
    received=st.none() | st.integers(0, 2**63 - 1),
    event=st.text(max_size=40),
    time=st.none() | INT64,
    clock=st.sampled_from(["synced", "holdover", "unsynced"]),
    replayed=st.booleans(),
    trace=st.none() | st.binary(min_size=16, max_size=16),
    values=VALUES,
    mono=st.none() | INT64,
)


def header(first: int, last: int, lost: str | None = None) -> Header:
    return Header("0123456789abcdef", "normal", first, last, sealed_at=5, lost=lost)


def row(seq: int, *values: object) -> Row:
    return Row(seq, 1, "e", None, "unsynced", replayed=False, trace=None, values=values)


def sealed(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big") + body


def packed(plain: bytes) -> bytes:
    return sealed(zstandard.ZstdCompressor(level=3).compress(plain))


def without_size(plain: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(plain) + compressor.flush()


@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(1, 2**39))
def test_an_envelope_is_read_back(rows: list[Row], first: int) -> None:
    for seq, one in enumerate(rows, first):
        one.seq = seq
    head = header(first, first + len(rows) - 1)
    assert decode(encode(head, rows)) == (head, rows)
    parts = b"".join(msgspec.msgpack.encode(one) for one in rows)
    assert encode_raw(head, len(rows), parts) == encode(head, rows)


def test_five_hundred_rows_cost_a_few_bytes_each() -> None:
    rows = [row(seq, f"sensor-{seq % 7}", 20.5 + seq % 10, seq % 3 == 0) for seq in range(1, 501)]
    assert len(encode(header(1, 500), rows)) < 500 * 20


def test_a_small_envelope_costs_little_over_its_values_and_any_reader_has_its_words() -> None:
    small = encode(header(7, 7), [row(7, "pump-12", 20.5)])
    assert len(small) < 90
    assert zstandard.get_frame_parameters(small[4:]).dict_id == ENVELOPE
    assert len(packed(zstandard.ZstdDecompressor(dict_data=WORDS).decompress(small[4:]))) > 1.5 * len(small)


def test_dictionaries_are_kept_for_ever_as_they_were() -> None:
    assert {number: zlib.crc32(words) for number, words in DICTIONARIES.items()} == {1: 320411488}


def test_a_dictionary_that_nobody_has_is_named() -> None:
    other = zstandard.train_dictionary(512, [bytes([n % 7]) * 90 for n in range(999)], dict_id=77)
    with pytest.raises(EnvelopeError, match="its dictionary is 77, this has 1"):
        decode(sealed(zstandard.ZstdCompressor(dict_data=other).compress(b"x" * 100)))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    for attempt in (data, sealed(data), packed(data)):
        with pytest.raises(EnvelopeError):
            decode(attempt)


@given(st.data())
def test_a_cut_or_changed_envelope_is_refused(data: st.DataObject) -> None:
    good = encode(header(1, 2), [row(1, "a"), row(2, "b")])
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(EnvelopeError):
        decode(good[:cut])
    flipped = bytearray(good)
    flipped[cut] ^= data.draw(st.integers(1, 255))
    with pytest.raises(EnvelopeError):
        decode(bytes(flipped))


@given(st.data())
def test_plain_bytes_changed_before_the_checksum_are_refused_or_read(data: st.DataObject) -> None:
    plain = bytearray(msgspec.msgpack.encode((header(1, 2), [row(1, "a", [1, 2]), row(2, b"b", None)])))
    for _ in range(data.draw(st.integers(1, 3))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    try:
        head, rows = decode(packed(bytes(plain)))
    except EnvelopeError:
        return
    assert [one.seq for one in rows] == list(range(head.first, head.last + 1)) or head.lost is not None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a bomb with its size", packed(b"\0" * (64 << 20))),
        ("a bomb that hides its size", sealed(without_size(b"\0" * (64 << 20)))),
        ("a bomb in a skippable frame", sealed(b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd")),
        ("a million levels", packed(b"\x92\x80" + b"\x91" * 1_000_000)),
        ("four billion rows", packed(b"\x92\x80\xdd\xff\xff\xff\xff")),
        ("text that is not UTF-8", packed(b"\x92\x81\xa2\xff\xff\x01\x90")),
        ("an empty list", packed(b"\x90")),
    ],
)  # fmt: skip
def test_hostile_bytes_are_refused(name: str, data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode(data)


def test_a_million_levels_inside_a_value_are_refused() -> None:
    plain = b"\x92" + msgspec.msgpack.encode(header(1, 1)) + b"\x91\x98\x01\x01\xa1e\xc0\xa1u\xc2\xc0"
    with pytest.raises(EnvelopeError, match="recursion"):
        decode(packed(plain + b"\x91" * 1_000_000 + b"\xc0"))


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        (header(1, 2), [row(1)]),
        (header(1, 1), [row(1), row(2)]),
        (header(1, 2), [row(2), row(1)]),
        (header(1, 2), [row(1), row(3)]),
        (header(2, 1), []),
        (header(0, 0), [row(0)]),
        (header(2**40, 2**40), [row(2**40)]),
        (header(1, 1, lost="corrupt"), [row(1)]),
        (header(1, 1), []),
    ],
)
def test_rows_that_are_not_the_headers_range_are_refused(head: Header, rows: list[Row]) -> None:
    with pytest.raises(EnvelopeError):
        decode(encode(head, rows))


def test_a_loss_is_an_envelope_without_rows() -> None:
    head = header(7, 900_000_000, lost="corrupt")
    assert decode(encode(head, [])) == (head, [])


def test_a_later_version_is_refused_with_both_numbers() -> None:
    later = Header("s", "normal", 1, 1, 0, v=2)
    with pytest.raises(EnvelopeError, match="version is 2, this reads 1"):
        decode(encode(later, [row(1)]))


def test_unknown_keys_and_elements_are_ignored() -> None:
    head = {"schema": "s", "priority": "bulk", "first": 1, "last": 1, "sealed_at": 0, "colour": "red"}
    rows = [[1, 2, "e", None, "synced", False, None, ["a"], 7, "later"]]
    read, values = decode(packed(msgspec.msgpack.encode([head, rows])))
    assert (read.priority, values[0].values) == ("bulk", ("a",))


def test_a_row_of_before_rows_had_a_monotonic_time_is_read() -> None:
    head = {"schema": "s", "priority": "bulk", "first": 1, "last": 1, "sealed_at": 0}
    old = [1, 2, "e", None, "unsynced", False, None, ["a"]]
    _, (came,) = decode(packed(msgspec.msgpack.encode([head, [old]])))
    assert (came.received, came.clock, came.mono) == (2, "unsynced", None)


MARKS = st.builds(
    Mark,
    fact=st.text(max_size=10),
    table=st.text(max_size=10),
    generation=st.integers(0, 9),
    version=st.integers(0, 2**40),
    counter=st.integers(0, 2**23 - 1),
    nonce=st.integers(0, 2**32 - 1),
    seq=st.integers(0, 2**40 - 1),
)


@given(st.text(max_size=10), st.lists(MARKS, max_size=4).map(tuple))
def test_marks_are_read_back(node: str, marks: tuple[Mark, ...]) -> None:
    assert Marks.decode(Marks(node, marks).encode()) == Marks(node, marks)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_marks_are_a_value_error(data: bytes) -> None:
    try:
        Marks.decode(data)
    except ValueError:
        return
    pytest.fail("random bytes were read as marks")


def test_a_moment_keeps_its_microseconds() -> None:
    moment = datetime(2026, 11, 24, 6, 0, 0, 123456, tzinfo=UTC)
    assert decode(encode(header(1, 1), [row(1, moment)]))[1][0].values == (moment,)
