"""A reply with more to it than a value."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

T = TypeVar("T")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Reply(Generic[T]):
    """What a function returns where the value alone does not say it.

    Args:
        value: as a function would return it: None, Struct, dict, str, bytes or CloudEvent.
        status: of HTTP and CoAP; 200 to 599.
        headers: of HTTP; user properties of MQTT 5. `content-type` says what bytes or str are.
    """

    __slots__ = ("headers", "status", "value")

    def __init__(self, value: T, status: int | None = None, headers: Mapping[str, str] = _NOTHING) -> None:
        if status is not None and not 200 <= status <= 599:
            raise ValueError(f"Reply: status is {status}, it must be 200 to 599")
        self.value: T = value
        self.status: int | None = status
        self.headers: Mapping[str, str] = headers
