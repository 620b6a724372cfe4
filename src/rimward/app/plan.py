"""The call plan: how each parameter of a function is filled, resolved once at load."""

import enum
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable
from typing import Any, Literal, Union
from uuid import UUID

import msgspec
from msgspec import Struct

from rimward.app.device import Device
from rimward.app.lake import Lake
from rimward.app.problems import Problem, name_of
from rimward.app.state import state_argument, states_argument
from rimward.events import Event

Kind = Literal["capture", "query", "event", "device", "state", "states", "config", "lake", "payload"]
_ITERATORS = (abc.AsyncIterator, abc.AsyncIterable, abc.AsyncGenerator)
_CAPTURE_TYPES = (str, int, UUID)
_QUERY_TYPES = (str, int, float, bool, UUID)


class Parameter(Struct, frozen=True):
    """One parameter and where its value comes from."""

    name: str
    kind: Kind
    type: Any  # capture, query and payload: what it is converted to; state and states: the state's Struct
    default: Any = inspect.Parameter.empty  # query only


class Plan(Struct, frozen=True):
    """How to call one function."""

    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    payload: Any  # the payload's type, or None where the function takes none
    is_async: bool
    returns: Any  # its annotation; NOT_SAID where it has none
    streams: bool = False  # it returns an async iterator, each value of which is a reply

    def takes(self, kind: Kind) -> list[Parameter]:
        """Return the parameters of a kind."""
        return [parameter for parameter in self.parameters if parameter.kind == kind]


class Scope(Struct, frozen=True):
    """What a function may ask for where it runs."""

    trigger: str  # as messages call it: "a topic", "a beat", "a fact" and so on
    captures: tuple[str, ...] = ()
    config: type[Struct] | None = None  # the app's

    @property
    def cloud(self) -> bool:
        """Whether it runs in the cloud."""
        return self.trigger in {"a fact", "a schedule"}


NOT_SAID = object()  # the return annotation of a function that has none


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
    except (TypeError, SyntaxError, AttributeError) as error:
        raise Problem(
            f"{function.__name__}: an annotation is not a type: {error}", "write a type", at=function
        ) from None


def make_plan(function: Callable[..., Any], scope: Scope) -> Plan:
    """Resolve a function's parameters.

    Raises:
        Problem: a parameter has no annotation, more than one could be the payload, or a type can't be filled.
    """
    hints = hints_of(function)
    parameters: list[Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            raise Problem(
                f"{function.__name__} takes {str(parameter).partition(':')[0]}, not by its place",
                "name each parameter, without * and **",
                at=function,
            )
        if parameter.name not in hints:
            raise Problem(
                f"{function.__name__}: {parameter.name!r} has no type",
                f"write '{parameter.name}: str' or the type that it has",
                at=function,
            )
        parameters.append(_resolve(function, parameter, hints[parameter.name], scope))
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
        hints.get("return", NOT_SAID),
        inspect.isasyncgenfunction(function) or typing.get_origin(hints.get("return")) in _ITERATORS,
    )


def returns_something(plan: Plan) -> bool:
    """Tell whether a function says that it returns more than None."""
    silent = (NOT_SAID, None, type(None), typing.NoReturn, typing.Never)
    return not any(plan.returns is nothing for nothing in silent)


def _resolve(
    function: Callable[..., Any], parameter: inspect.Parameter, annotation: Any, scope: Scope
) -> Parameter:
    name = parameter.name
    if name in scope.captures:
        return Parameter(name, "capture", _capture_type(function, name, annotation))
    if scope.trigger == "a request" and _is_scalar(_plain(annotation)):
        return Parameter(name, "query", annotation, parameter.default)
    if (found := _framework(function, name, annotation, scope)) is not None:
        return found
    _check_payload(function, name, annotation)
    return Parameter(name, "payload", annotation)


def _framework(function: Callable[..., Any], name: str, annotation: Any, scope: Scope) -> Parameter | None:
    """Return the parameter if its type is one of ours."""
    if annotation is Event:
        return Parameter(name, "event", Event)
    if scope.config is not None and annotation is scope.config:
        return Parameter(name, "config", annotation)
    if annotation is Lake:
        if not scope.cloud:
            raise Problem(
                f"{function.__name__}: {name!r} is a Lake, which is in the cloud",
                "use @app.cloud",
                at=function,
            )
        return Parameter(name, "lake", Lake)
    if annotation is Device:
        if scope.trigger not in {"a topic", "a request", "a socket"}:
            raise Problem(
                f"{function.__name__}: {name!r} is a Device, and behind {scope.trigger} there is none",
                'use mqtt("…") or http.get("…") as the trigger',
                at=function,
            )
        return Parameter(name, "device", Device)
    for kind, state in (("state", state_argument(annotation)), ("states", states_argument(annotation))):
        if state is None:
            continue
        return Parameter(name, typing.cast("Kind", kind), state)
    return None


def _is_scalar(type_: Any) -> bool:
    return type_ in _QUERY_TYPES or (isinstance(type_, type) and issubclass(type_, enum.Enum))


def _plain(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        rest = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _capture_type(function: Callable[..., Any], name: str, annotation: Any) -> Any:
    if annotation in _CAPTURE_TYPES or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return annotation
    raise Problem(
        f"{function.__name__}: the capture {name!r} is of type {name_of(annotation)}",
        "a capture is str, int, UUID or an Enum",
        at=function,
    )


def _check_payload(function: Callable[..., Any], name: str, annotation: Any) -> None:
    try:
        msgspec.json.Decoder(annotation)
        if isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.CustomType):
            raise TypeError(f"{name_of(annotation)} is no type of messages")  # noqa: TRY301 (one way out)
    except (TypeError, NameError) as error:
        cure = "use a Struct, a scalar, a list, a dict, bytes or str"
        if "union" in str(error).lower():
            cure = "give each its tag: class Opened(Struct, tag=True)"
        raise Problem(
            f"{function.__name__}: {name!r} can't be decoded from a message: {_first_line(error)}",
            cure,
            at=function,
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(" - type ")[0]
