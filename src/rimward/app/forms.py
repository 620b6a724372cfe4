"""How a state's cells are written and read: checked by its type, over its versions, and nothing unknown lost.

A cell is a map of its fields by their names. From version 2 on the empty name says which version wrote it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar, cast

import msgspec
from msgspec import Struct

from rimward.app.effects import NOWHERE, current
from rimward.app.unknown import unknown_in, with_unknown
from rimward.events import StateInvalid, StateUnreadable
from rimward.events.raised import place_of

S = TypeVar("S", bound=Struct)
MARK = ""  # the name under which a cell has its version
_BITS = 64  # of the largest whole number that is kept
_SMALL, _MAP16, _MAP32 = 0x80, 0xDE, 0xDF  # first bytes of msgpack's maps
_FIRST = b"\x01"  # the version of a cell that says none
_encode = msgspec.msgpack.Encoder().encode
_raw = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_unpack = msgspec.msgpack.Decoder().decode
_number = msgspec.msgpack.Decoder(int).decode


class Step(Struct, frozen=True):
    """A function from one version of a state to the next."""

    takes: Any  # a Struct, or dict
    function: Callable[[Any], Any]
    read: Callable[[bytes], Any]  # makes what it takes of a stored cell


class Versions(Struct, frozen=True):
    """What a state says of its earlier forms."""

    version: int = 1
    was: Mapping[str, str] = {}  # a field's name, and its name before
    removed: frozenset[str] = frozenset()  # fields that may go


class Checked(NamedTuple, Generic[S]):
    """A value as msgpack, and as it is read from there: nothing that a function holds is in it."""

    body: bytes
    value: S


class Kept(NamedTuple, Generic[S]):
    """A cell as it was read."""

    value: S
    unknown: Any  # what other versions have in it; None where nothing is


class Form(Generic[S]):
    """The form in which the cells of one state type are kept."""

    __slots__ = ("_decode", "_flat", "_known", "_positional", "_strict", "_was", "name", "steps", "versions")

    def __init__(
        self, type_: type[S], info: msgspec.inspect.StructType, versions: Versions, *, flat: bool
    ) -> None:
        """`flat`: no field of it has fields of its own."""
        self.name: str = type_.__name__  # in errors
        self.versions: Versions = versions
        self.steps: dict[int, Step] = {}  # by the version that they start from; set once an app is resolved
        self._decode = msgspec.msgpack.Decoder(type_).decode
        names = {field.name: field.encode_name for field in info.fields}
        self._known = frozenset(names.values()) | ({info.tag_field} if info.tag_field else frozenset[str]())
        self._was = [(names[field], before) for field, before in versions.was.items()]
        self._flat = flat
        self._strict = info.forbid_unknown_fields
        self._positional = info.array_like

    # -- between a function and the node

    def check(self, value: S) -> Checked[S]:
        """Return what a function has left, as msgpack.

        Raises:
            StateInvalid: it can't be kept, or a field's value is not of its type.
        """
        try:
            body = _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            _refuse(self.name, value)
        try:
            return Checked(body, self._decode(body))
        except (msgspec.ValidationError, RecursionError) as error:
            raise StateInvalid(f"state {self.name}: {error}") from None

    def read(self, body: bytes) -> S:
        """Return a value that was checked.

        Raises:
            msgspec.ValidationError: it was not, by this type.
        """
        return self._decode(body)

    # -- between the node and its disk

    def sealed(self, value: S, unknown: Any) -> bytes:
        """Return a value that was checked, or read, as the disk has it."""
        return self.seal(_encode(value), unknown)

    def seal(self, body: bytes, unknown: Any = None) -> bytes:
        """Return a checked value's msgpack as the disk has it."""
        if unknown is not None or self._was:
            fields = with_unknown(_unpack(body), unknown)
            fields |= {before: fields[name] for name, before in self._was if name in fields}
            body = _encode(fields)
        version = self.versions.version
        return body if version == 1 else _with_field(body, _encode(MARK) + _encode(version))

    def is_newer(self, stored: bytes) -> bool:
        """Tell whether a cell is of a version that this one does not know."""
        try:
            return not self._positional and _number(_raw(stored).get(MARK, _FIRST)) > self.versions.version
        except msgspec.DecodeError:
            return False

    def load(self, stored: bytes) -> Kept[S]:
        """Return a cell as this version of its type has it.

        Raises:
            StateUnreadable: it can't.
        """
        try:
            if self._positional:
                return Kept(self._decode(stored), None)
            fields = _raw(stored)
            version = _number(fields.pop(MARK, _FIRST))
            if version != self.versions.version:
                return self._migrated(fields, version)
            return self._known_and_unknown(fields, stored)
        except msgspec.DecodeError as error:  # a ValidationError is one too
            raise StateUnreadable(f"a cell of state {self.name}: {error}") from None

    def _known_and_unknown(self, fields: dict[str, msgspec.Raw], stored: bytes) -> Kept[S]:
        changed = self._strict
        for name, before in self._was:
            if before in fields:
                fields[name] = fields.pop(before)
                changed = True
        if not changed and self._flat and fields.keys() <= self._known:
            return Kept(self._decode(stored), None)
        for name in self.versions.removed & fields.keys():
            del fields[name]
        value = self._decode(_encode({name: part for name, part in fields.items() if name in self._known}))
        return Kept(value, unknown_in(_unpack(_encode(fields)), _unpack(_encode(value))))

    def _migrated(self, fields: dict[str, msgspec.Raw], version: int) -> Kept[S]:
        if version > self.versions.version:
            raise StateUnreadable(
                f"a cell of state {self.name} is of version {version}, "
                f"and this app knows {self.versions.version}"
            )
        if version not in self.steps:
            raise StateUnreadable(
                f"a cell of state {self.name} is of version {version}, from which nothing migrates; "
                f"write @app.migrate({self.name}, version={version})"
            )
        value: Any = self.steps[version].read(_encode(fields))
        token = current.set(NOWHERE)
        try:
            for at in range(version, self.versions.version):
                value = self.steps[at].function(value)
            checked = self.check(value)
        except Exception as error:
            told = f"{type(error).__name__}: {error} at {place_of(error)}"
            raise StateUnreadable(f"a cell of state {self.name} could not be migrated: {told}") from error
        finally:
            current.reset(token)
        return Kept(checked.value, None)


def _with_field(body: bytes, pair: bytes) -> bytes:
    """Return a msgpack map with one more pair."""
    first = body[0]
    start = 3 if first == _MAP16 else 5 if first == _MAP32 else 1
    count = 1 + (int.from_bytes(body[1:start], "big") if start > 1 else first & 0x0F)
    head = bytes((_SMALL | count,)) if count < 16 else bytes((_MAP32,)) + count.to_bytes(4, "big")
    return head + body[start:] + pair


def _refuse(name: str, value: Struct) -> NoReturn:
    """Say which value can't be kept, and why: by its type and size, never what it is (GUARANTEES §7)."""
    try:
        path, found = _culprit(value, "", set()) or ("value", value)
    except RecursionError:
        path, found = "value", _ITSELF
    raise StateInvalid(f"state {name}: {path} is {_told(found)}") from None


def _culprit(value: Any, path: str, above: set[int]) -> tuple[str, Any] | None:
    """Return the innermost value that can't be written, with its path; None where there is none."""
    if id(value) in above:
        return path, _ITSELF
    if path:
        try:
            _encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass
        else:
            return None
    above.add(id(value))
    for step, part in _parts(value):
        found = _culprit(part, f"{path}{step}" if path else step.lstrip("."), above)
        if found is not None:
            return found
    above.discard(id(value))
    return (path, value) if path else None


_ITSELF = object()  # stands for a value that is part of itself


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values inside one, each with its step from there."""
    if isinstance(value, Struct):
        yield from ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
    elif isinstance(value, dict):
        for key, part in cast("dict[Any, Any]", value).items():
            yield "{key}", key
            yield "[…]", part
    elif isinstance(value, list | tuple):
        yield from ((f"[{at}]", part) for at, part in enumerate(cast("list[Any]", value)))
    elif isinstance(value, set | frozenset):
        yield from (("{item}", part) for part in cast("set[Any]", value))


def _told(value: Any) -> str:
    if value is _ITSELF:
        return "part of itself, or too deep to be written out"
    if isinstance(value, int):
        return f"a whole number of {value.bit_length()} bits, at most {_BITS} are kept"
    if isinstance(value, str):
        return f"text of {len(value)} characters with a surrogate, which is not Unicode"
    return f"of the type {type(value).__name__}; use types that JSON can hold"
