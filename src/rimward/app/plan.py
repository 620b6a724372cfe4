"""The call plan: how each parameter of a function is filled, resolved once at load."""

import enum
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union
from uuid import UUID

import msgspec
from msgspec import Struct

from rimward.app.lake import Lake
from rimward.app.problems import Problem
from rimward.app.state import state_argument
from rimward.events import Event

Kind = Literal["capture", "query", "event", "state", "lake", "payload"]
_CAPTURE_TYPES = (str, int, UUID)
_QUERY_TYPES = (str, int, float, bool, UUID)


class Parameter(Struct, frozen=True):
    """One parameter and where its value comes from."""

    name: str
    kind: Kind
    type: Any  # capture, query and payload: what it is converted to; state: the state's Struct
    default: Any = inspect.Parameter.empty  # query only


class Plan(Struct, frozen=True):
    """How to call one function."""

    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    payload: Any  # the payload's type, or None where the function takes none
    is_async: bool
    returns: Any


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations as types.

    Raises:
        Problem: an annotation names what does not exist when the function is called.
    """
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise Problem(
            f"{function.__name__}: an annotation names {error.name!r}, which is not there at run time",
            "import it outside 'if TYPE_CHECKING:'",
            at=function,
        ) from None
    except (TypeError, SyntaxError) as error:
        raise Problem(f"{function.__name__}: an annotation is not a type: {error}", at=function) from None


def make_plan(
    function: Callable[..., Any], captures: tuple[str, ...], *, query: bool, cloud: bool = False
) -> Plan:
    """Resolve a function's parameters.

    Raises:
        Problem: a parameter has no annotation, more than one could be the payload, or a type can't be filled.
    """
    hints = hints_of(function)
    parameters: list[Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise Problem(f"{function.__name__} takes {parameter}", "name each parameter", at=function)
        if parameter.name not in hints:
            raise Problem(
                f"{function.__name__}: {parameter.name!r} has no type",
                f"write '{parameter.name}: str' or the type that it has",
                at=function,
            )
        parameters.append(
            _resolve(function, parameter, hints[parameter.name], captures, query=query, cloud=cloud)
        )
    payloads = [parameter for parameter in parameters if parameter.kind == "payload"]
    if len(payloads) > 1:
        names = " and ".join(repr(parameter.name) for parameter in payloads)
        raise Problem(
            f"{function.__name__}: {names} could each be the payload",
            "one parameter is the payload; name the others as captures in the trigger",
            at=function,
        )
    return Plan(
        function,
        tuple(parameters),
        payloads[0].type if payloads else None,
        inspect.iscoroutinefunction(function),
        hints.get("return"),
    )


def _resolve(
    function: Callable[..., Any],
    parameter: inspect.Parameter,
    annotation: Any,
    captures: tuple[str, ...],
    *,
    query: bool,
    cloud: bool,
) -> Parameter:
    name = parameter.name
    if name in captures:
        return Parameter(name, "capture", _capture_type(function, name, annotation))
    if annotation is Event:
        return Parameter(name, "event", Event)
    if (state := state_argument(annotation)) is not None:
        return Parameter(name, "state", state)
    if annotation is Lake:
        if not cloud:
            raise Problem(
                f"{function.__name__}: {name!r} is a Lake, which is in the cloud",
                "use @app.cloud",
                at=function,
            )
        return Parameter(name, "lake", Lake)
    if query and (_plain(annotation) in _QUERY_TYPES):
        return Parameter(name, "query", annotation, parameter.default)
    _check_payload(function, name, annotation)
    return Parameter(name, "payload", annotation)


def _plain(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        rest = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _capture_type(function: Callable[..., Any], name: str, annotation: Any) -> Any:
    if annotation in _CAPTURE_TYPES or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return annotation
    raise Problem(
        f"{function.__name__}: the capture {name!r} is of type {annotation!r}",
        "a capture is str, int, UUID or an Enum",
        at=function,
    )


def _check_payload(function: Callable[..., Any], name: str, annotation: Any) -> None:
    try:
        msgspec.json.Decoder(annotation)
    except (TypeError, NameError) as error:
        raise Problem(
            f"{function.__name__}: {name!r} can't be decoded from a message: {error}",
            "use a Struct, a scalar, a list, a dict, bytes or str",
            at=function,
        ) from None
