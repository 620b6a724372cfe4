"""Windows that still need to say what becomes of their values."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from msgspec import Struct

from rimward.app.problems import Problem
from rimward.app.steps import Aggregate, Window
from rimward.events import Duration, nanoseconds

if TYPE_CHECKING:
    from rimward.app.stream import Stream

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A", bound=Struct)


class Windows(Generic[T]):
    """Windows of a stream; `agg` or `apply` makes a stream of them again."""

    def __init__(
        self,
        stream: "Stream[T]",
        kind: Literal["tumbling", "sliding", "session", "count"],
        size: int,
        step: int,
        lateness: int,
    ) -> None:
        self._stream = stream
        self._kind: Literal["tumbling", "sliding", "session", "count"] = kind
        self._size = size
        self._step = step
        self._lateness = lateness

    def agg(self, result: type[A], **fields: tuple[str, Aggregate]) -> "Stream[A]":
        """Build a `result` from each window: `mean=("celsius", "mean")`; key fields fill themselves."""
        known = set(result.__struct_fields__)
        for name in fields:
            if name not in known:
                raise Problem(
                    f"agg sets {name!r}, which {result.__name__} does not have",
                    f"its fields are {', '.join(sorted(known))}",
                )
        missing = [
            name
            for name in result.__struct_fields__[
                : len(result.__struct_fields__) - len(result.__struct_defaults__)
            ]
            if name not in fields and name not in self._stream.keys
        ]
        if missing:
            raise Problem(
                f"agg leaves {', '.join(missing)} of {result.__name__} unset",
                f'write agg({result.__name__}, {missing[0]}=("field", "mean"))',
            )
        named = tuple((name, source, how) for name, (source, how) in fields.items())
        return self._stream._with(self._step_of(result, named, None))

    def apply(self, function: Callable[[Sequence[T]], U]) -> "Stream[U]":
        """Build a value from all of a window's values; fields named like a key are filled in afterwards."""
        return self._stream._with(self._step_of(None, (), function))

    def _step_of(
        self,
        result: type[Struct] | None,
        fields: tuple[tuple[str, str, str], ...],
        apply: Callable[[Sequence[T]], U] | None,
    ) -> Window:
        return Window(self._kind, self._size, self._step, self._lateness, result, fields, apply)


def ns(duration: Duration, what: str, example: str) -> int:
    """Return a duration in ns.

    Raises:
        Problem: it is none.
    """
    try:
        return nanoseconds(duration)
    except ValueError as error:
        raise Problem(f"{what}: {error}", f"write {example}") from None


def whole(number: object, what: str, example: str) -> int:
    """Return a positive whole number.

    Raises:
        Problem: it is none.
    """
    if type(number) is not int or number <= 0:
        raise Problem(f"{what} is {number!r}, it must be a whole number above 0", f"write {example}")
    return number
