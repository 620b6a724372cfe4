"""Snapshots as bytes: whatever a stream can be given, its state can be kept."""

from typing import Any, cast

import msgspec
from msgspec.msgpack import Ext

BIG = 1  # the extension that carries an integer of more than 64 bits, as two's complement
MAP = 2  # the extension that carries a map with such an integer as a key, as a packed list of pairs
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1  # what msgpack's integers hold


def pack(snapshot: Any) -> bytes:
    """Return builtins as msgpack; integers may be of any size."""
    try:
        return msgspec.msgpack.encode(snapshot)
    except OverflowError:
        return msgspec.msgpack.encode(_carried(snapshot))


def unpack(data: bytes) -> Any:
    """Return the builtins that `pack` was given; tuples come as lists.

    Raises:
        msgspec.DecodeError: it is no msgpack.
    """
    return msgspec.msgpack.decode(data, ext_hook=_brought)


def _carried(value: Any) -> Any:
    """Return a value with each integer that msgpack has no room for as an extension."""
    if isinstance(value, int):
        if _LEAST <= value <= _MOST:
            return value
        return Ext(BIG, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        if any(isinstance(_carried(key), Ext) for key, _ in pairs):
            return Ext(MAP, pack(list(pairs)))
        return {key: _carried(item) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [_carried(item) for item in cast("list[Any]", value)]
    return value


def _brought(code: int, data: memoryview) -> Any:
    if code == MAP:
        return dict(unpack(bytes(data)))
    return int.from_bytes(data, "big", signed=True) if code == BIG else Ext(code, bytes(data))
