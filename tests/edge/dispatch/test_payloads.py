"""Every type against every kind of wrong value, in each encoding: refused, with the path, and kept."""

from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimward.edge.dispatch.encodings import from_cbor

from .bench import bench

# a type as it is written; the kinds of values that it takes, besides those that only look like them
TYPES = {
    "int": {"integer"},
    "float": {"integer", "fraction"},
    "str": {"text", "date"},
    "bool": {"truth"},
    "datetime": {"date"},
    "UUID": {"none of them"},
    "Side": {"none of them"},
    "Literal['on', 'off']": {"none of them"},
    "Annotated[int, Meta(ge=100)]": {"none of them"},
    "list[int]": {"list"},
    "tuple[int, str]": {"none of them"},
    "dict[str, int]": {"object"},
    "Inner": {"none of them"},
    "Opened | Closed": {"none of them"},
    "int | None": {"integer", "nothing"},
}
VALUES: dict[str, Any] = {
    "nothing": None,
    "truth": True,
    "integer": 7,
    "fraction": 7.5,
    "text": "x",
    "date": "2026-11-01T00:00:00Z",
    "list": [],
    "object": {},
}
ENCODINGS = {
    "application/json": msgspec.json.encode,
    "application/msgpack": msgspec.msgpack.encode,
    "application/cbor": cbor2.dumps,
}
HEAD = """
import enum
from typing import Annotated, Literal
from uuid import UUID
from msgspec import Meta
class Side(enum.Enum):
    LEFT = "left"
class Inner(Struct):
    n: int
class Opened(Struct, tag=True):
    at: int
class Closed(Struct, tag=True):
    at: int
"""
ROUTE = """
class Cell{n}(Struct):
    value: {type}
class Payload{n}(Struct):
    cells: list[Cell{n}]
@app.edge(http.post("/{n}"))
def f{n}(payload: Payload{n}) -> str:
    return "taken"
"""


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_wrong_value_is_refused_with_its_path(tmp_path: Path, encoding: str) -> None:
    functions = HEAD + "".join(ROUTE.format(n=n, type=type_) for n, type_ in enumerate(TYPES))
    refused = 0
    async with bench(tmp_path, functions) as b:
        for n, (type_, taken) in enumerate(TYPES.items()):
            for kind, value in VALUES.items():
                body = ENCODINGS[encoding]({"cells": [{"value": value}]})
                ticket = await b.get(f"/{n}", method="POST", body=body, headers={"content-type": encoding})
                told = f"{kind} as {type_}"
                if kind in taken:
                    assert ticket.refusal is None, told
                    continue
                refused += 1
                assert ticket.refusal is not None, told
                assert ticket.refusal.kind == "payload", told
                assert ticket.refusal.detail.endswith("at `$.cells[0].value`"), told
        assert b.outbox.stats()["dead_letters"] == refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01\x02",
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",
        b"\x81" * 100_000,
        b"\xd8\x1c\x81\xd8\x1d\x00",  # a list that holds itself
        b"\xd8\x23\x63(a)",  # a pattern
        b"\xa2\x61a\x01\x61a\x02",  # a key twice
        b"\xa1\x01\x02",  # a key that is no text
        b"\xd9\xff\x01\x01",  # a tag of nobody
        b"\xff",
    ],
)
async def test_cbor_that_is_malformed_or_means_harm_is_refused(body: bytes, tmp_path: Path) -> None:
    functions = '@app.edge(mqtt("t"))\ndef f(payload: dict[str, object]) -> None: ...\n'
    async with bench(tmp_path, functions) as b:
        ticket = await b.message("t", body, content_type="application/cbor")
        assert ticket is not None
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "payload"
        assert "CBOR" in ticket.refusal.detail


@given(st.binary(max_size=64))
def test_no_bytes_make_the_reading_of_cbor_fail_otherwise_than_by_saying_so(data: bytes) -> None:
    try:
        from_cbor(data)
    except ValueError:
        return
