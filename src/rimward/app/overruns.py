"""What becomes of a function at the edge that takes too long: left to finish, cut, or replaced."""

import inspect
from collections.abc import Callable
from typing import Any

from rimward.app.declared import EdgeOptions
from rimward.app.problems import Problem, name_of


def check_overrun(function: Callable[..., Any], options: EdgeOptions) -> None:
    """Refuse a function whose overruns can't be treated as it says.

    Raises:
        Problem: an option is not of its kind, or contradicts another.
    """
    answer, name = options.on_overrun, function.__name__
    if not callable(answer) and answer not in ("finish", "cut"):
        raise Problem(
            f"{name}: on_overrun is {answer!r}",
            'write "finish", "cut", or the function that answers instead',
            at=function,
        )
    if answer != "finish" and options.budget is None:
        raise Problem(f"{name}: on_overrun= without a budget", 'write budget="5ms"', at=function)
    if options.limit is not None and options.limit < (options.budget or 0.0):
        raise Problem(
            f"{name}: limit= is below the budget",
            "raise it: past it the function is stopped",
            at=function,
        )
    if options.limit is not None and options.limit <= 0.0:
        raise Problem(f"{name}: limit= is nothing", 'write limit="1s"', at=function)
    if callable(answer):
        _check_fallback(function, answer)


def _check_fallback(function: Callable[..., Any], fallback: Callable[..., Any]) -> None:
    """Refuse a fallback that can't be called as the function is."""
    name = function.__name__
    if inspect.iscoroutinefunction(fallback):
        raise Problem(
            f"{name}: the fallback {name_of(fallback)} is async, and it has to answer at once",
            "write def instead of async def",
            at=function,
        )
    wanted, found = _parameters(function), _parameters(fallback)
    if wanted != found:
        raise Problem(
            f"{name}: the fallback {name_of(fallback)} takes {_list(found)}, not {_list(wanted)}",
            f"give it the parameters of {name}, with their types",
            at=function,
        )


def _parameters(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    return [(one.name, one.annotation) for one in inspect.signature(function).parameters.values()]


def _list(parameters: list[tuple[str, Any]]) -> str:
    return "(" + ", ".join(f"{name}: {name_of(type_)}" for name, type_ in parameters) + ")"
