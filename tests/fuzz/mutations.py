"""Bytes to be sent: what is in the corpus, cut, joined and broken.

`corpus/PROTOCOL/NAME.hex` is one conversation's bytes from the client, in hexadecimal; a blank line parts two
writes, and # begins a comment. A finding becomes a file of its own, with the name of what it broke.
"""

from pathlib import Path

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
MOST = 8192  # bytes of one conversation
Writes = list[bytes]


def corpus(protocol: str) -> list[Writes]:
    """Return the conversations of a protocol, sorted by name."""
    files = sorted((CORPUS / protocol).glob("*.hex"))
    return [_writes(file.read_text()) for file in files]


def _writes(text: str) -> Writes:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    pieces = "\n".join(lines).split("\n\n")
    return [bytes.fromhex(piece.replace("\n", " ")) for piece in pieces if piece.strip()]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[Writes]) -> Writes:
    """Return a conversation made of those of the corpus, with a few things wrong."""
    writes = [
        write for writes in draw(st.lists(st.sampled_from(seeds), min_size=1, max_size=2)) for write in writes
    ]
    kept = draw(st.integers(0, min(2, len(writes))))  # the handshake may stay as it is
    data = bytearray(b"".join(writes[kept:]))
    for _ in range(draw(st.integers(0, 5))):
        _break(draw, data)
    return [*writes[:kept], *_cut(draw, bytes(data[:MOST]))]


def _break(draw: st.DrawFn, data: bytearray) -> None:
    """Do one thing to the bytes."""
    start = draw(st.integers(0, len(data)))
    size = draw(st.integers(1, 16))
    what = draw(st.sampled_from(("set", "flip", "insert", "delete", "double", "end", "number")))
    if what == "set":
        data[start : start + 1] = bytes([draw(st.integers(0, 255))])
    elif what == "flip" and start < len(data):
        data[start] ^= 1 << draw(st.integers(0, 7))
    elif what == "insert":
        data[start:start] = draw(st.binary(min_size=1, max_size=64))
    elif what == "delete":
        del data[start : start + size]
    elif what == "double":
        data[start:start] = data[start : start + size] * draw(st.integers(1, 40))
    elif what == "end":
        del data[start:]
    else:
        numbers = (b"\xff\xff", b"\x00\x00", b"\x7f", b"\x80", b"\xff\xff\xff\x7f", b"\x80\x80\x80\x80")
        number = draw(st.sampled_from(numbers))
        data[start : start + len(number)] = number


def _cut(draw: st.DrawFn, data: bytes) -> Writes:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def anything() -> st.SearchStrategy[Writes]:
    """Return any bytes at all."""
    return st.lists(st.binary(max_size=256), min_size=1, max_size=4)
