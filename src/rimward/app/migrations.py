"""Functions that make of an older version's cells what the next version takes, checked as a chain."""

import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from rimward.app.declared import MigrationDeclared
from rimward.app.forms import Step
from rimward.app.problems import Problem
from rimward.app.state import StateType

M = TypeVar("M", bound=Callable[[Any], Any])
_EXAMPLE = "def from_text(old: {0}Before) -> {0}: …"


def chain_migrations(declared: Iterable[MigrationDeclared], state: StateType[Any]) -> dict[int, Step]:
    """Return a state's migrations by the version that they start from.

    Raises:
        Problem: one is of no such version, is missing, or returns what the next one does not take.
    """
    found: dict[int, tuple[MigrationDeclared, Step, Any]] = {}
    for one in sorted(declared, key=lambda one: one.version):
        if one.version in found or not 0 < one.version < state.version:
            why = "there is another one" if one.version in found else f"the state is of {state.version}"
            raise Problem(
                f"{one.function.__name__} migrates version {one.version} of {state.name}, and {why}",
                f"write @app.state(…, version={one.version + 1}), or the version that it is for",
                at=(one.file, one.line),
            )
        found[one.version] = (one, *_step(one, state))
    for version, (one, _, returns) in found.items():
        after = found.get(version + 1)
        if after is None and version + 1 != state.version:
            raise Problem(
                f"{state.struct.__name__} has a migration from version {version} and none from {version + 1}",
                f"write @app.migrate({state.struct.__name__}, version={version + 1})",
                at=(one.file, one.line),
            )
        wanted = state.struct if after is None else after[1].takes
        if returns is not wanted:
            raise Problem(
                f"{one.function.__name__} returns {_name(returns)}, and the next version is {_name(wanted)}",
                f"write -> {_name(wanted)}",
                at=(one.file, one.line),
            )
    return {version: step for version, (_, step, _) in found.items()}


def _step(one: MigrationDeclared, state: StateType[Any]) -> tuple[Step, Any]:
    """Return a migration and what it returns."""
    parameters = list(inspect.signature(one.function).parameters.values())
    try:
        hints = typing.get_type_hints(one.function)
    except NameError as error:
        raise Problem(
            f"{one.function.__name__}: {error}", "import it where the file runs", at=one.function
        ) from None
    takes = hints.get(parameters[0].name) if len(parameters) == 1 else None
    takes = dict if typing.get_origin(takes) is dict else takes
    if inspect.iscoroutinefunction(one.function) or not (takes is dict or _is_struct(takes)):
        raise Problem(
            f"{one.function.__name__} must be a plain function of one Struct, or of a dict",
            f"write {_EXAMPLE.format(state.struct.__name__)}",
            at=one.function,
        )
    returns = hints.get("return")
    returns = dict if typing.get_origin(returns) is dict else returns
    read = msgspec.msgpack.Decoder(dict[str, Any] if takes is dict else takes).decode
    return Step(takes, one.function, read), returns


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Struct)


def _name(type_: Any) -> str:
    return getattr(type_, "__name__", "nothing" if type_ is None else str(type_))
