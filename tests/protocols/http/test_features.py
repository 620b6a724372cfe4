"""The pure parts of HTTP beside the session: codings, entity tags, ranges, events and signatures."""

import base64
import gzip
import hmac
import zlib

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from rimward.app import webhook
from rimward.protocols.http import HttpError, codings, conditions, ranges
from rimward.protocols.http.events import encode_event
from rimward.protocols.http.signatures import verify

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=2", None),  # no quality: the whole entry is not looked at
        ("br", None),
        ("", None),
    ],
)
def test_the_coding_follows_what_the_caller_likes_best(accepted: str, coding: str | None) -> None:
    assert codings.choose(accepted) == coding


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "zstd"]))
def test_what_is_compressed_comes_back_as_it_was(data: bytes, coding: codings.Coding) -> None:
    assert codings.expand(codings.compress(data, coding), coding, 3000) == data


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_refused_and_never_expanded_past_the_limit(coding: codings.Coding) -> None:
    bomb = codings.compress(bytes(50_000_000), coding)
    assert len(bomb) < 500_000
    with pytest.raises(HttpError) as refused:
        codings.expand(bomb, coding, 1000)
    assert refused.value.status == 413


def test_a_zstd_frame_that_hides_its_size_is_bound_too() -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    bomb = stream.compress(bytes(5_000_000)) + stream.flush()
    assert zstandard.frame_content_size(bomb) == -1
    with pytest.raises(HttpError) as refused:
        codings.expand(bomb, "zstd", 1000)
    assert refused.value.status == 413
    stream = zstandard.ZstdCompressor().compressobj()
    assert codings.expand(stream.compress(b"abc") + stream.flush(), "zstd", 3) == b"abc"


def test_gzip_of_two_members_is_one_body_and_counts_as_one() -> None:
    two = gzip.compress(b"ab", mtime=0) + gzip.compress(b"cd", mtime=0)
    assert codings.expand(two, "gzip", 4) == b"abcd"
    with pytest.raises(HttpError) as refused:
        codings.expand(two, "gzip", 3)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("data", "coding", "status"),
    [
        (gzip.compress(b"abc", mtime=0)[:-9], "gzip", 400),
        (b"", "gzip", 400),
        (b"plain", "gzip", 400),
        (zlib.compress(b"abc"), "gzip", 400),
        (codings.compress(b"abc", "zstd")[:-1], "zstd", 400),
        (codings.compress(b"abc", "zstd") + b"x", "zstd", 400),
        (b"plain", "zstd", 400),
        (b"x", "br", 415),
        (b"x", "gzip, gzip", 415),
    ],
)
def test_a_body_that_is_not_in_its_coding_is_refused(data: bytes, coding: str, status: int) -> None:
    with pytest.raises(HttpError) as refused:
        codings.expand(data, coding, 100)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("condition", "tag", "strong", "weak"),
    [
        ('"a"', '"a"', True, True),
        ('W/"a"', '"a"', False, True),
        ('"a"', 'W/"a"', False, True),
        ('"b", "a"', '"a"', True, True),
        ('"b,a"', '"a"', False, False),
        ("*", '"a"', True, True),
        ("*", None, False, False),
        ("a", '"a"', False, False),
        ('"A"', '"a"', False, False),
    ],
)
def test_tags_are_compared_weakly_or_strongly(
    condition: str, tag: str | None, strong: object, weak: object
) -> None:
    assert conditions.matches(condition, tag, strong=True) is strong
    assert conditions.matches(condition, tag, strong=False) is weak


@pytest.mark.parametrize(
    ("header", "parts"),
    [
        ("bytes=0-4", [(0, 4)]),
        ("bytes=5-", [(5, 9)]),
        ("bytes=-3", [(7, 9)]),
        ("bytes=-30", [(0, 9)]),
        ("bytes=8-100", [(8, 9)]),
        ("bytes=0-0, 9-9", [(0, 0), (9, 9)]),
        ("bytes=0-1, 50-60", [(0, 1)]),
        ("BYTES=0-4", [(0, 4)]),
        ("bytes=0-9,0-9", None),  # more than the whole
        ("bytes=4-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes", None),
        ("lines=0-4", None),
        ("bytes=" + ",".join(["0-0"] * 17), None),
    ],
)
def test_ranges_are_parts_of_the_body_or_the_whole(header: str, parts: list[tuple[int, int]] | None) -> None:
    found = ranges.parse(header, 10)
    assert (None if found is None else [(part.first, part.last) for part in found]) == parts


@pytest.mark.parametrize(("header", "length"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_ranges_beyond_the_body_can_not_be_given(header: str, length: int) -> None:
    with pytest.raises(ranges.UnsatisfiableError):
        ranges.parse(header, length)


@given(st.text(max_size=40), st.integers(0, 50))
def test_no_range_reaches_beyond_the_body(text: str, length: int) -> None:
    try:
        found = ranges.parse(f"bytes={text}", length)
    except ranges.UnsatisfiableError:
        return
    assert all(0 <= part.first <= part.last < length for part in found or ())


@given(st.text(), st.text(), st.text())
def test_no_text_can_forge_a_field_of_an_event(data: str, identity: str, name: str) -> None:
    event = encode_event(data, identity, name)
    lines = event.decode().split("\n")
    assert lines[-2:] == ["", ""]
    assert [line.partition(": ")[0] for line in lines[:2]] == ["id", "event"]
    assert all(line.startswith("data: ") for line in lines[2:-2])
    assert b"\r" not in event


def test_an_event_has_its_lines_id_and_name() -> None:
    assert encode_event("a\nb", "7", "tick") == b"id: 7\nevent: tick\ndata: a\ndata: b\n\n"


# -- signatures; GitHub's example is of its documentation, the others are computed as theirs say


def test_github_signs_the_body() -> None:
    signed = webhook.github(secret="env:X")
    key = b"It's a Secret to Everybody"
    right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert verify(signed, key, {"x-hub-signature-256": right}, b"Hello, World!", NOW) is None
    for headers, body in [
        ({"x-hub-signature-256": right}, b"Hello, World?"),
        ({"x-hub-signature-256": right[:-1] + "8"}, b"Hello, World!"),
        ({"x-hub-signature-256": right.removeprefix("sha256=")}, b"Hello, World!"),
        ({"x-hub-signature": "sha1=" + hmac.digest(key, b"Hello, World!", "sha1").hex()}, b"Hello, World!"),
        ({}, b"Hello, World!"),
    ]:
        assert verify(signed, key, headers, body, NOW) is not None
    assert verify(signed, b"other", {"x-hub-signature-256": right}, b"Hello, World!", NOW) is not None


def stripe(key: bytes, body: bytes, at: float) -> str:
    return hmac.digest(key, f"{int(at)}.".encode() + body, "sha256").hex()


def test_stripe_signs_time_and_body_and_a_replay_is_refused() -> None:
    signed, key, body = webhook.stripe(secret="env:X"), b"whsec_1", b'{"id":"evt_1"}'
    right = stripe(key, body, NOW)
    other = stripe(b"rotated", body, NOW)
    header = {"stripe-signature": f"t={int(NOW)},v1={other},v1={right},v0=x"}
    assert verify(signed, key, header, body, NOW) is None
    assert verify(signed, key, header, body, NOW + 299) is None
    assert "more than 300 s" in str(verify(signed, key, header, body, NOW + 301))
    assert "more than 300 s" in str(verify(signed, key, header, body, NOW - 301))
    assert verify(signed, key, header, body + b" ", NOW) is not None
    moved = {"stripe-signature": f"t={int(NOW) + 900},v1={right}"}  # a new time, an old signature
    assert verify(signed, key, moved, body, NOW + 900) is not None
    assert verify(signed, key, {"stripe-signature": f"v1={right}"}, body, NOW) is not None
    assert verify(signed, key, {"stripe-signature": f"t={int(NOW)},v0={right}"}, body, NOW) is not None


def test_telnyx_signs_time_and_body_with_its_private_key() -> None:
    signed, private, body = webhook.telnyx(public_key="env:X"), Ed25519PrivateKey.generate(), b"{}"
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = base64.b64encode(private.sign(f"{int(NOW)}|".encode() + body)).decode()
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": str(int(NOW))}
    assert verify(signed, public, headers, body, NOW) is None
    assert verify(signed, public, headers, b"{ }", NOW) is not None
    assert verify(signed, public, headers, body, NOW + 301) is not None
    assert verify(signed, public, headers | {"telnyx-timestamp": str(int(NOW) + 1)}, body, NOW) is not None
    assert verify(signed, public, headers | {"telnyx-signature-ed25519": "?"}, body, NOW) is not None
    assert verify(signed, public, headers | {"telnyx-timestamp": "now"}, body, NOW) is not None


def test_any_hmac_is_described_by_its_parts() -> None:
    signed = webhook.hmac(
        secret="env:X", header="X-Sig", algorithm="sha512", encoding="base64", prefix="v=",
        timestamp="X-Time",
        separator=":", tolerance="10s",
    )  # fmt: skip
    digest = hmac.digest(b"k", f"{int(NOW)}:".encode() + b"body", "sha512")
    headers = {"x-sig": "v=" + base64.b64encode(digest).decode(), "x-time": str(int(NOW))}
    assert verify(signed, b"k", headers, b"body", NOW) is None
    assert verify(signed, b"k", headers, b"body", NOW + 11) is not None


def test_a_signature_of_other_letters_is_merely_wrong() -> None:
    signed = webhook.github(secret="env:X")
    assert verify(signed, b"k", {"x-hub-signature-256": "sha256=\u00e9"}, b"", NOW) is not None
