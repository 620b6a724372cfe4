"""A rule of the contract that an app breaks, on its way to become a `LoadError` with file and line."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, cast

from rimward.events import LoadError

Place = Callable[..., Any] | type | tuple[str, int]
_PACKAGE = str(Path(__file__).resolve().parent.parent)


class Problem(LoadError):
    """A mistake in an app file; it finds the user's line by itself where none is given."""

    def __init__(self, message: str, cure: str = "", *, at: "Place | None" = None) -> None:
        file, line = _place(at) if at is not None else caller()
        super().__init__(message, file=file, line=line, cure=cure)


def place_of(function: Callable[..., Any]) -> tuple[str, int]:
    """Return the file and the line of a function's `def`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if isinstance(code, CodeType) else ("", 0)


def _place(thing: Place) -> tuple[str, int]:
    if isinstance(thing, tuple):
        return cast("tuple[str, int]", thing)
    if not isinstance(thing, type):
        return place_of(thing)
    try:
        return inspect.getsourcefile(thing) or "", inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return caller()


def caller() -> tuple[str, int]:
    """Return the file and line of the user's code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def line_of(place: tuple[str, int], other: tuple[str, int]) -> str:
    """Return a place as an error at another one names it: its line, and its file where that differs."""
    file, line = place
    return f"line {line}" if file == other[0] else f"line {line} of {Path(file).name}"


def name_of(thing: Any) -> str:
    """Return what a user calls a type, a module or a value."""
    return getattr(thing, "__name__", None) or str(thing)
