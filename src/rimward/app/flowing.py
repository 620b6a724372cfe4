"""What types flow through a stream, and which steps make no sense on them: told at load.

A lambda says nothing of what it returns. Where a step keeps whole values, so that they have to come back from
the disk after a restart, their type must be known.
"""

import types
import typing
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app.problems import Problem, name_of
from rimward.app.steps import (
    Change,
    Deadband,
    Debounce,
    Dedupe,
    Enrich,
    Ewma,
    Fence,
    FlatMap,
    Geofence,
    Hampel,
    Map,
    Meet,
    Ordered,
    Sample,
    Scored,
    Step,
    Window,
)
from rimward.app.stream import Stream

Context = Callable[..., Any]  # the stream's function, which errors name
CHANGING = (Map, FlatMap, Enrich, Ewma, Hampel, Geofence, Window, Meet)  # the type of what goes through
WAITING = (Debounce, Sample, Ordered, Geofence, Window)  # what may find a value too late
NUMERIC = {"sum", "mean", "std", "var", "median", "time_weighted_mean"}


class Unknown:
    """The type of what a lambda returns."""


def out_type(stream: "Stream[Any]", payloads: tuple[Any, ...]) -> Any:
    """Return the type of the values that a stream gives; Unknown where a lambda made them."""
    return in_types(stream, payloads)[-1]


def in_types(stream: "Stream[Any]", payloads: tuple[Any, ...], said: Any = Unknown) -> list[Any]:
    """Return the type of what reaches each step, and at last of what leaves.

    `said` is what the stream's function says that leaves: so it is behind the last step that changes a type.
    """
    found = [payloads[stream.source]]
    for step in stream.steps:
        found.append(_after(step, found[-1], payloads))
    for index in range(len(stream.steps), 0, -1):
        if found[index] is not Unknown:
            break
        found[index] = said
        if isinstance(stream.steps[index - 1], CHANGING):
            break
    return found


def late_types(stream: "Stream[Any]", payloads: tuple[Any, ...], said: Any = Unknown) -> set[Any]:
    """Return the types of the values that can come too late for a stream."""
    found: set[Any] = set()
    for step, type_ in zip(stream.steps, in_types(stream, payloads, said)[:-1], strict=True):
        if isinstance(step, Meet):
            for side in (step.left, step.right):
                found |= late_types(side, payloads) | {out_type(side, payloads)}
        elif isinstance(step, WAITING) and not (isinstance(step, Window) and step.kind == "count"):
            found.add(of_items(step, type_) if isinstance(step, Window) else type_)
    return found


def of_items(step: Window, type_: Any) -> Any:
    """Return the type of a window's values, by what its `apply` takes where nothing else says it."""
    if type_ is not Unknown or step.apply is None or isinstance(step.apply, type):
        return type_
    try:
        taken = [hint for name, hint in typing.get_type_hints(step.apply).items() if name != "return"]
    except (TypeError, NameError):
        return Unknown
    return _item(taken[0]) if len(taken) == 1 else Unknown


def _after(step: Step, before: Any, payloads: tuple[Any, ...]) -> Any:  # noqa: PLR0911 (one way out for each kind)
    match step:
        case Map(change=function) | Enrich(combine=function):
            return returned(function)
        case FlatMap(open=function):
            return _item(returned(function))
        case Ewma() | Hampel():
            return Unknown if before is Unknown else Scored[before]
        case Geofence():
            return Fence
        case Window():
            if step.result is not None:
                return step.result
            assert step.apply is not None
            return returned(step.apply)
        case Meet():
            if step.combine is None:
                return out_type(step.left, payloads)
            return returned(step.combine)
        case _:
            return before


def returned(function: Any) -> Any:
    """Return what a function says that it returns; a class makes its own kind."""
    if isinstance(function, type):
        return function
    try:
        return typing.get_type_hints(function).get("return", Unknown)
    except (TypeError, NameError):
        return Unknown


def _item(type_: Any) -> Any:
    arguments = typing.get_args(type_)
    return arguments[0] if len(arguments) == 1 else Unknown


def fields_of(type_: Any) -> dict[str, Any] | None:
    """Return the types of a Struct's fields; None where the type is no Struct that is known."""
    origin = typing.get_origin(type_) or type_
    if not (isinstance(origin, type) and issubclass(origin, Struct)):
        return None
    return typing.get_type_hints(origin)


def check_flow(
    function: Context, stream: "Stream[Any]", payloads: tuple[Any, ...], said: Any = Unknown
) -> None:
    """Check each step against the type of what reaches it.

    Raises:
        Problem: a field is not there or no number, or a value could not be kept.
    """
    for step, type_ in zip(stream.steps, in_types(stream, payloads, said)[:-1], strict=True):
        if isinstance(step, Meet):
            for side in (step.left, step.right):
                check_flow(function, side, payloads)
                _check_kept(function, step.kind, out_type(side, payloads))
            continue
        _check_fields(function, step, type_)
        if isinstance(step, Window) and step.apply is not None:
            _check_kept(function, _name(step), of_items(step, type_))
        if isinstance(step, Debounce | Sample | Ordered):
            _check_kept(function, _name(step), type_)
        if isinstance(step, Change | Dedupe) and not step.of:
            _check_kept(function, _name(step), type_)


def _name(step: Step) -> str:
    return f"{step.kind} with apply" if isinstance(step, Window) else type(step).__name__.lower()


def _check_kept(function: Context, what: str, type_: Any) -> None:
    if type_ is Unknown:
        raise Problem(
            f"{function.__name__}: {what} keeps values, and a lambda before it does not say of which type",
            "write it as a function that says what it returns: def warm(reading: Reading) -> Warm",
            at=function,
        )


def _check_fields(function: Context, step: Step, type_: Any) -> None:
    fields = fields_of(type_)
    for name, numeric in _wanted(step):
        if type_ is Unknown:
            continue
        if name is None:
            if numeric and not _is_number(type_):
                raise Problem(
                    f"{function.__name__}: {_name(step)} computes with numbers, and gets {name_of(type_)}",
                    f'name a field that is one: .{_name(step)}("celsius")',
                    at=function,
                )
            continue
        if fields is None or name not in fields:
            known = "it has none" if not fields else f"its fields are {', '.join(fields)}"
            what = "aggregates" if isinstance(step, Window) else f"{_name(step)} reads"
            raise Problem(
                f"{function.__name__}{' ' if isinstance(step, Window) else ': '}{what} {name!r}, "
                f"which {name_of(type_)} does not have",
                known,
                at=function,
            )
        if numeric and not _is_number(fields[name]):
            raise Problem(
                f"{function.__name__}: {_name(step)} computes with {name!r}, "
                f"which is {name_of(fields[name])}",
                "name a field that is a number",
                at=function,
            )


def _wanted(step: Step) -> list[tuple[str | None, bool]]:
    """Return the fields that a step reads, and whether they must be numbers; None is the value itself."""
    match step:
        case Deadband() | Ewma() | Hampel():
            return [(step.of, True)]
        case Change() | Dedupe():
            return [(name, False) for name in step.of]
        case Geofence():
            return [(step.x, True), (step.y, True)]
        case Window():
            return [
                (source, how in NUMERIC or (how[0] == "p" and how[1:].isdigit()))
                for _, source, how in step.fields
            ]
        case _:
            return []


def _is_number(type_: Any) -> bool:
    """Tell whether values of a type can be numbers; what is not known may be."""
    if type_ is Any or isinstance(type_, typing.TypeVar):
        return True
    if typing.get_origin(type_) is typing.Annotated:
        return _is_number(typing.get_args(type_)[0])
    if typing.get_origin(type_) in {typing.Union, types.UnionType}:
        return any(_is_number(one) for one in typing.get_args(type_))
    return isinstance(type_, type) and issubclass(type_, int | float)
