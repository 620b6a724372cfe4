"""Stopping user code that runs on the loop: asked by SIGALRM, this raises in the user's frame.

It raises only while a user's frame is on top: where that has called platform code (`app.forward`, the outbox,
a lock) it waits for the user's next line, and between two calls it does nothing. A bare `except:` can't keep
what is raised: the line trace raises it again at the next line, and what was swallowed arms that trace anew
when it is dropped.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

from rimward.edge.slot import ASKED, HANDS, OFF, START, Slot

_DEBUGGERS = ("debugpy", "pydevd", "_pydevd_bundle")  # modules that are there under one
FRAMES = 1000  # of one call that are traced; what lies deeper is not stopped softly
_PLATFORM = (
    os.path.dirname(os.path.dirname(__file__)) + "/",  # noqa: PTH120 (as code objects write them)
    os.path.dirname(asyncio.__file__) + "/",  # noqa: PTH120
    os.path.dirname(logging.__file__) + "/",  # noqa: PTH120
    threading.__file__,
    "<frozen ",
)
_STANDARD = os.path.dirname(os.__file__) + "/"  # noqa: PTH120


class Stopped(BaseException):
    """A call was stopped; no `except Exception` is meant to catch it."""

    def __init__(self, place: str, again: Callable[[], None] | None = None) -> None:
        """`place` is the user's file and line; `again` is called when this was swallowed."""
        super().__init__(f"stopped at {place}")
        self.place: str = place
        self._again = again

    def settle(self) -> "Stopped":
        """The call has ended: nothing is raised any more."""
        self._again = None
        sys.settrace(None)
        return self

    def __del__(self) -> None:
        if self._again is not None:
            self._again()


class Stopper:
    """Answers SIGALRM."""

    def __init__(self, slot: Slot, call_sites: Iterable[CodeType]) -> None:
        """`call_sites` are where the platform calls user code; what lies below them is never stopped."""
        self._words = slot.words
        self._sites = frozenset(call_sites)

    def install(self) -> None:
        """Answer from now on; only the main thread can ask for it."""
        signal.signal(signal.SIGALRM, self.asked)

    def asked(self, _number: int, frame: FrameType | None) -> None:
        """Stop the call that is asked to, if it still runs, by raising `Stopped` in the frame given."""
        words = self._words
        start = words[START]
        if not start or words[ASKED] != start:
            return  # it has ended by itself
        if looked_at():
            words[HANDS] = OFF
            return
        frames = self._frames(frame)
        users = _users(frames)
        if not users:
            return  # dispatch itself, on its way in or out: if it is still the same call it is asked again
        call = _Stopping(words, start, users)
        call.arm()
        if users[0] is frames[0]:
            raise call.stopped(users[0])

    def _frames(self, frame: FrameType | None) -> list[FrameType]:
        """Return what runs above the call site, the innermost first."""
        frames: list[FrameType] = []
        while frame is not None and frame.f_code not in self._sites:
            frames.append(frame)
            frame = frame.f_back
        return frames


def _users(frames: list[FrameType]) -> list[FrameType]:
    """Return the user's frames that no platform code stands above or between, the innermost first."""
    while frames and _is_platform(frames[-1].f_code):  # compiled, dispatch has no frames
        frames.pop()
    users: list[FrameType] = []
    for one in frames:
        if _is_platform(one.f_code):
            users.clear()  # what platform code has called is its own
        else:
            users.append(one)
    return users


class _Stopping:
    """One call on its way out."""

    def __init__(self, words: memoryview, start: int, users: list[FrameType]) -> None:
        self._words = words
        self._start = start
        self._users = users

    def arm(self) -> None:
        """Raise at the next line that a user's frame comes to."""
        if self._words[START] != self._start:
            self._users.clear()
            return
        sys.settrace(self.trace)
        for frame in self._users:
            frame.f_trace = self.trace

    def stopped(self, frame: FrameType) -> Stopped:
        """Return what is to be raised in a frame."""
        if frame not in self._users:
            self._users.insert(0, frame)
        own = next((one for one in self._users if not _is_library(one.f_code)), frame)
        code = own.f_code
        return Stopped(f"{code.co_filename.rpartition('/')[2]}:{own.f_lineno} in {code.co_name}", self.arm)

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        """Raise at each line of a user's frame until the call has ended."""
        if self._words[START] != self._start:
            sys.settrace(None)
            return None
        if event == "call":
            return self.trace if self._takes(frame) else None
        if event == "line":
            raise self.stopped(frame)
        return self.trace  # an exception on its way: raising now would take the trace off too early

    def _takes(self, frame: FrameType) -> bool:
        """Take a frame that one of ours has called."""
        if frame.f_back not in self._users or len(self._users) >= FRAMES or _is_platform(frame.f_code):
            return False
        self._users.insert(0, frame)
        return True


def looked_at() -> bool:
    """Tell whether a debugger looks on, or may: then nothing is stopped."""
    trace, hook = sys.gettrace(), os.environ.get("PYTHONBREAKPOINT", "0")
    if trace is not None and not isinstance(getattr(trace, "__self__", None), _Stopping):
        return True
    return hook not in {"", "0"} or any(name in sys.modules for name in _DEBUGGERS)


def _is_library(code: CodeType) -> bool:
    return code.co_filename.startswith(_STANDARD) or "-packages/" in code.co_filename


def _is_platform(code: CodeType) -> bool:
    return code.co_filename.startswith(_PLATFORM)
