"""Streams: a declaration that runs once at load and says how events become windows and facts.

Nothing is computed here: the node turns the steps into operators of `rimward.streams`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from rimward.app.problems import Problem
from rimward.events import Duration, nanoseconds

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A", bound=Struct)

Aggregate = Literal[
    "count", "sum", "mean", "min", "max", "first", "last", "std", "var", "median", "nunique"
]  # pandas' names


class Filter(Struct, frozen=True):
    """Keep what the test accepts."""

    test: Callable[[Any], bool]


class Map(Struct, frozen=True):
    """Change each value."""

    change: Callable[[Any], Any]


class FlatMap(Struct, frozen=True):
    """Put each item of what is returned in the value's place."""

    open: Callable[[Any], Iterable[Any]]


class Window(Struct, frozen=True):
    """Fold tumbling windows of event time into one value each."""

    size: int  # ns
    lateness: int  # ns that an event may come after a later one
    result: type[Struct] | None  # what `agg` builds
    fields: tuple[tuple[str, str, str], ...]  # (field of the result, field of the value, aggregate)
    apply: Callable[[Sequence[Any]], Any] | None


Step = Filter | Map | FlatMap | Window


class Stream(Generic[T]):
    """A sequence of values per key, as declared so far; every method returns a longer declaration."""

    def __init__(
        self, steps: tuple[Step, ...] = (), keys: tuple[str, ...] = (), *, forwards: bool = False
    ) -> None:
        self.steps = steps
        self.keys = keys
        self.forwards = forwards

    def key_by(self, *keys: str) -> "Stream[T]":
        """Keep windows per key: names of captures or of the payload's fields."""
        if not keys:
            raise Problem("key_by names no key", 'write .key_by("truck")')
        if self.keys:
            raise Problem(f"key_by{keys} comes after key_by{self.keys}", "name all keys in one key_by")
        return Stream(self.steps, keys, forwards=self.forwards)

    def filter(self, test: Callable[[T], bool]) -> "Stream[T]":
        """Keep the values that the test accepts."""
        return self._with(Filter(test))

    def map(self, change: Callable[[T], U]) -> "Stream[U]":
        """Change each value."""
        return self._with(Map(change))

    def flat_map(self, open: Callable[[T], Iterable[U]]) -> "Stream[U]":  # noqa: A002 (what it does)
        """Open batches: each item goes on by itself, with its own time where it has the time's field."""
        return self._with(FlatMap(open))

    def tumbling(self, size: Duration, *, lateness: Duration = "2s") -> "Windows[T]":
        """Cut time into windows side by side; an event may come `lateness` late, a later one is counted."""
        if any(isinstance(step, Window) for step in self.steps):
            raise Problem(
                "a stream has a window of windows", "use the first window's facts in a second stream"
            )
        try:
            return Windows(self, nanoseconds(size), nanoseconds(lateness))
        except ValueError as error:
            raise Problem(f"tumbling: {error}", 'write .tumbling("1m", lateness="2s")') from None

    def forward(self) -> "Stream[T]":
        """Send each value to the cloud; it must be a fact."""
        return Stream(self.steps, self.keys, forwards=True)

    def _with(self, step: Step) -> "Stream[Any]":
        return Stream((*self.steps, step), self.keys, forwards=self.forwards)


class Windows(Generic[T]):
    """Windows that still need to say what becomes of their values."""

    def __init__(self, stream: Stream[T], size: int, lateness: int) -> None:
        self._stream = stream
        self._size = size
        self._lateness = lateness

    def agg(self, result: type[A], **fields: tuple[str, Aggregate]) -> Stream[A]:
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
        return self._stream._with(Window(self._size, self._lateness, result, named, None))

    def apply(self, function: Callable[[Sequence[T]], U]) -> Stream[U]:
        """Build a value from all of a window's values; fields named like a key are filled in afterwards."""
        return self._stream._with(Window(self._size, self._lateness, None, (), function))


def stream_argument(annotation: Any) -> Any:
    """Return T of an annotation Stream[T], or None for any other."""
    if getattr(annotation, "__origin__", None) is Stream:
        return annotation.__args__[0]
    return None
