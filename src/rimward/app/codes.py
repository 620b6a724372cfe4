"""The code of a function: what it reaches in its module, whether that changed, which globals it keeps."""

import builtins
import dis
import hashlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

_STORES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})


def code_digest(function: Callable[..., Any]) -> str:
    """Return what changes when the code of a function does, or of one of its module that it calls.

    Comments, line numbers and the rest of the file are no part of it.
    """
    found = hashlib.sha256(sys.version.encode())
    for code in _reached(function):
        for part in _parts(code):
            found.update(part)
            found.update(b"\0")
    return found.hexdigest()[:16]


def assigned_globals(function: Callable[..., Any]) -> frozenset[str]:
    """Return the globals of its module that a function assigns, or one of its module that it calls."""
    return frozenset(
        str(one.argval)
        for code in _reached(function)
        for inner in _nested(code)
        for one in dis.get_instructions(inner)
        if one.opname in _STORES
    )


def used_globals(function: Callable[..., Any]) -> frozenset[str]:
    """Return the globals of its module that it, or one of its module that it calls, names at all."""
    names = {name for code in _reached(function) for inner in _nested(code) for name in inner.co_names}
    return frozenset(names & _module_of(function).keys())


def _reached(function: Callable[..., Any]) -> list[types.CodeType]:
    """Return the code of a function and of the functions and classes of its module that it names."""
    names, module = _module_of(function), getattr(function, "__module__", None)
    codes: list[types.CodeType] = []
    waiting: list[Any] = [function]
    while waiting:
        for code in _codes_of(waiting.pop()):
            if code in codes:
                continue
            codes.append(code)
            wanted = {name for inner in _nested(code) for name in inner.co_names}
            waiting += [
                one
                for name in sorted(wanted & names.keys())
                if getattr(one := names[name], "__module__", None) == module and not hasattr(builtins, name)
            ]
    return codes


def _module_of(function: Callable[..., Any]) -> dict[str, Any]:
    return getattr(function, "__globals__", {})


def _codes_of(thing: Any) -> Iterator[types.CodeType]:
    if isinstance(thing, types.FunctionType):
        yield thing.__code__
    elif isinstance(thing, type):
        yield from (one.__code__ for one in vars(thing).values() if isinstance(one, types.FunctionType))


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _parts(code: types.CodeType) -> Iterator[bytes]:
    for inner in _nested(code):
        yield inner.co_name.encode()
        yield inner.co_code
        yield repr(inner.co_names).encode()
        yield repr(inner.co_varnames).encode()
        constants = (one for one in inner.co_consts if not isinstance(one, types.CodeType))
        yield "".join(_constant(one) for one in constants).encode()


def _constant(constant: Any) -> str:
    """Return a constant as text that is the same in each process."""
    if isinstance(constant, frozenset):
        return repr(sorted(map(repr, constant)))  # pyright: ignore[reportUnknownArgumentType] (a constant's items are of any type)
    return f"{type(constant).__name__} {constant!r}"
