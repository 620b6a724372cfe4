"""One value of a stream of replies, with more to it than the value."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Update(Generic[T]):
    """What a function that returns an `AsyncIterator` yields where the value alone does not say it.

    Args:
        value: as a function would return it.
        id: of a server-sent event: a caller that connects again has the last one in `Last-Event-ID`.
        name: of a server-sent event: its `event` field.
    """

    __slots__ = ("id", "name", "value")

    def __init__(self, value: T, *, id: str | None = None, name: str | None = None) -> None:  # noqa: A002 (as the standard calls it)
        self.value: T = value
        self.id: str | None = id
        self.name: str | None = name
