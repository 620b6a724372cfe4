"""Snapshots as bytes: integers of any size come back, wherever they stand."""

from typing import Any

import msgspec
import pytest

from rimward.streams.snapshots import pack, unpack


@pytest.mark.parametrize("edge", [0, 1 << 63, 1 << 64, 1 << 71, 1 << 200])
def test_an_integer_of_any_size_comes_back(edge: int) -> None:
    for value in (edge - 1, edge, edge + 1, -edge - 1, -edge, -edge + 1):
        kept: list[Any] = [value, {"of": [value, {"at": value}]}, {value: {value: "both"}}, None, "text", 1.5]
        assert unpack(pack(kept)) == kept


def test_what_msgpack_holds_is_plain_msgpack() -> None:
    assert pack([1, (2, "x")]) == msgspec.msgpack.encode([1, [2, "x"]])
