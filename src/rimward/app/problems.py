"""A rule of the contract that an app breaks, on its way to become a `LoadError` with file and line."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any

from rimward.events import LoadError

_PACKAGE = str(Path(__file__).resolve().parent.parent)


class Problem(LoadError):
    """A mistake in an app file; it finds the user's line by itself where none is given."""

    def __init__(self, message: str, cure: str = "", *, at: Callable[..., Any] | type | None = None) -> None:
        file, line = _place(at) if at is not None else _caller()
        super().__init__(message, file=file, line=line, cure=cure)


def place_of(function: Callable[..., Any]) -> tuple[str, int]:
    """Return the file and the line of a function's `def`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else ("", 0)


def _place(thing: Callable[..., Any] | type) -> tuple[str, int]:
    if not isinstance(thing, type):
        return place_of(thing)
    try:
        return inspect.getsourcefile(thing) or "", inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return _caller()


def _caller() -> tuple[str, int]:
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno
