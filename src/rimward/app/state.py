"""Keyed state: a declared cell per key, changed as a working copy and committed with the message."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from rimward.app.effects import TimerAsk, ask_timer
from rimward.app.forms import Checked, Form, Versions
from rimward.app.problems import Problem, name_of
from rimward.events import Duration, nanoseconds

S = TypeVar("S", bound=Struct)

_SCALARS = (
    msgspec.inspect.BoolType,
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
    msgspec.inspect.StrType,
    msgspec.inspect.BytesType,
    msgspec.inspect.DateTimeType,
    msgspec.inspect.DateType,
    msgspec.inspect.UUIDType,
    msgspec.inspect.EnumType,
    msgspec.inspect.LiteralType,
    msgspec.inspect.NoneType,
)


class StateType(Generic[S]):
    """One declared state type: its key, and whether its cells outlive the process."""

    __slots__ = ("durable", "expires", "flat", "form", "key", "name", "struct", "timers", "version", "was")

    def __init__(  # noqa: PLR0913 (what is declared, each by its name)
        self,
        type_: type[S],
        key: str,
        *,
        durable: bool,
        expires: float | None = None,
        name: str | None = None,
        was: str | None = None,
        versions: Versions = Versions(),  # noqa: B008 (frozen)
    ) -> None:
        self.struct: type[S] = type_
        self.key: str = key  # the capture that names the cell
        self.durable: bool = durable
        self.expires: float | None = expires  # seconds after its last change that a cell is forgotten
        self.name: str = name or type_.__name__  # by which its cells are kept
        self.was: str | None = was  # the name by which they were kept before
        self.timers: dict[Callable[..., Any], str] | None = None  # names of its timers; None: not known
        info = _info_of(type_)
        for field in info.fields:
            if field.required:
                raise Problem(
                    f"state {type_.__name__} has the field {field.name!r} without a default",
                    f"a cell starts before any message: write '{field.name}: … = …'",
                    at=type_,
                )
        self.flat: bool = all(_is_flat(field.type) for field in info.fields)
        _check_versions(type_, info, versions)
        self.version: int = versions.version
        self.form: Form[S] = Form(type_, info, versions, flat=self.flat)

    def copy(self, value: S) -> S:
        """Return a working copy that shares nothing that can change."""
        return copy.copy(value) if self.flat else copy.deepcopy(value)


def _info_of(type_: type[Struct]) -> msgspec.inspect.StructType:
    try:
        info = msgspec.inspect.type_info(type_)
    except (TypeError, NameError) as error:
        raise Problem(
            f"state {type_.__name__} can't be kept: {error}", "use types that JSON can hold", at=type_
        ) from None
    assert isinstance(info, msgspec.inspect.StructType)
    return info


def _check_versions(type_: type[Struct], info: msgspec.inspect.StructType, versions: Versions) -> None:
    """Refuse what a state says of its earlier forms where that can't be.

    Raises:
        Problem: a field is unknown, still there or named twice, or the struct knows no names.
    """
    name, fields = type_.__name__, {field.name for field in info.fields}
    known = {field.encode_name for field in info.fields}
    if versions.version < 1:
        raise Problem(f"state {name}: version is {versions.version}", "count from 1", at=type_)
    if info.array_like and versions != Versions():
        raise Problem(
            f"state {name} is array_like: its cells know no names, and have no versions",
            "take array_like away under a new name= of the state",
            at=type_,
        )
    for field in versions.was.keys() - fields:
        raise Problem(
            f"state {name}: was_fields names {field!r}, which is no field", "name a field", at=type_
        )
    gone = [*versions.was.values(), *versions.removed]
    for field in gone:
        if field in known or gone.count(field) > 1:
            raise Problem(
                f"state {name}: {field!r} is said to be gone, and is "
                + ("a field" if field in known else "named twice"),
                "was_fields= and removed= name fields of before",
                at=type_,
            )


def _is_flat(type_: msgspec.inspect.Type) -> bool:
    if isinstance(type_, msgspec.inspect.UnionType):
        return all(_is_flat(kind) for kind in type_.types)
    return isinstance(type_, _SCALARS)


class State(Generic[S]):
    """A function's hold on one cell: `value` is a working copy, kept when the call returns."""

    __slots__ = ("_committed", "_type", "_working", "key")

    def __init__(self, type_: StateType[S], key: str, committed: S) -> None:
        self._type = type_
        self._committed = committed
        self._working: S | None = None
        self.key: str = key

    @property
    def value(self) -> S:
        """The cell's value for this call; change its fields, or set a new one."""
        if self._working is None:
            self._working = self._type.copy(self._committed)
        return self._working

    @value.setter
    def value(self, value: S) -> None:
        if type(value) is not self._type.struct:
            raise TypeError(
                f"state.value is a {type(value).__name__}, it must be a {self._type.struct.__name__}"
            )
        self._working = value

    def after(self, delay: Duration, function: Callable[..., Any], *, restart: bool = False) -> None:
        """Run a `timer(T)` function with this key in a while; one timer is pending for a function and key.

        It is set when the call returns, and survives what its state survives.

        Args:
            delay: from now.
            function: declared with `@app.edge(timer(T))`.
            restart: move one that is pending; else it is kept as it is.

        Raises:
            NoNode: no node runs in this context.
            TimersFull: too many timers are pending on the node; the whole message is refused.
            TypeError: the function is no timer of this state.
            ValueError: the delay is no duration.
        """
        name = self._timer(function, "after")
        ask_timer("after", TimerAsk(name, self.key, nanoseconds(delay), restart))

    def cancel(self, function: Callable[..., Any]) -> None:
        """Take back this key's pending timer of a function, if there is one, when the call returns.

        Raises:
            NoNode: no node runs in this context.
            TypeError: the function is no timer of this state.
        """
        ask_timer("cancel", TimerAsk(self._timer(function, "cancel"), self.key, None))

    def _timer(self, function: Callable[..., Any], verb: str) -> str:
        known = self._type.timers
        if known is None and hasattr(function, "__name__"):  # a cell made by hand, in a test
            return function.__name__
        for timer, name in (known or {}).items():
            if timer is function:
                return name
        struct = self._type.struct.__name__
        raise TypeError(
            f"state.{verb}: {name_of(function)} is no timer of {struct}; "
            f"declare it with @app.edge(timer({struct}))"
        )

    def changed(self) -> S | None:
        """Return the working copy if it differs from the committed value."""
        working = self._working
        return working if working is not None and working != self._committed else None

    def checked(self) -> Checked[S] | None:
        """Return the working copy, if it differs from the committed value and can be kept.

        Raises:
            StateInvalid: it can't be kept.
        """
        changed = self.changed()
        return None if changed is None else self._type.form.check(changed)


class StateCells(Protocol):
    """All cells of one state type; the node implements it."""

    def find(self, key: str) -> Struct | None:
        """Return a cell's committed value."""
        ...

    def items(self) -> Iterator[tuple[str, Struct]]:
        """Yield every key with its committed value."""
        ...


class States(Generic[S]):
    """All cells of a state type, to read: what is committed, as copies."""

    __slots__ = ("_cells", "_type")

    def __init__(self, type_: StateType[S], cells: StateCells) -> None:
        self._type = type_
        self._cells = cells

    def get(self, key: str) -> S | None:
        """Return a copy of a key's value, or None where no call has changed it yet.

        Raises:
            StateUnreadable: this version of the app can't read it.
            OutboxBroken: the disk can't be read.
        """
        value = self._cells.find(key)
        return None if value is None else self._type.copy(cast("S", value))

    def items(self) -> Iterator[tuple[str, S]]:
        """Yield every key with a copy of its value, in no order; raises as `get` does.

        Cells that come or change while it is read may be told as they were, or as they are.
        """
        for key, value in self._cells.items():
            yield key, self._type.copy(cast("S", value))


def state_argument(annotation: Any) -> type[Struct] | None:
    """Return T of an annotation State[T], or None for any other."""
    return _argument(annotation, State)


def states_argument(annotation: Any) -> type[Struct] | None:
    """Return T of an annotation States[T], or None for any other."""
    return _argument(annotation, States)


def _argument(annotation: Any, origin: type) -> type[Struct] | None:
    if getattr(annotation, "__origin__", None) is origin:
        return annotation.__args__[0]
    return None
