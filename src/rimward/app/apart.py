"""What keeps a function from running in a process of its own: what it remembers there nobody else sees."""

import dis
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from rimward.app.plan import Plan
from rimward.app.problems import Problem

_ASSIGN = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})


def kept_globals(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the globals of its module that a function assigns, itself or by functions of the same module."""
    found: set[str] = set()
    seen: set[CodeType] = set()
    waiting = [function]
    while waiting:
        one = waiting.pop()
        code, names = getattr(one, "__code__", None), getattr(one, "__globals__", {})
        if not isinstance(code, CodeType) or code in seen:
            continue
        seen.add(code)
        for inner in _codes(code):
            found.update(step.argval for step in dis.get_instructions(inner) if step.opname in _ASSIGN)
            named = (names.get(name) for name in inner.co_names)
            waiting += [
                value for value in named if isinstance(value, FunctionType) and value.__globals__ is names
            ]
    return tuple(sorted(found))


def check_apart(plan: Plan, run: str) -> None:
    """Refuse what can't run in a process of its own.

    Raises:
        Problem: it assigns globals, or returns many values.
    """
    if run not in {"process", "wasm"}:
        return
    name = plan.function.__name__
    if kept := kept_globals(plan.function):
        raise Problem(
            f'{name} assigns the global {kept[0]!r}, and run="{run}" has a process of its own that may end '
            "at any time",
            "keep it in a State[T]",
            at=plan.function,
        )
    if plan.streams:
        raise Problem(
            f'{name} returns many values, and run="{run}" sends one answer a call',
            "take run= away, or return one value",
            at=plan.function,
        )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
