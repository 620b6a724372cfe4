"""Ends calls whose time is over: one thread that sleeps for as long as nothing can be."""

import threading
import time
from collections.abc import Callable

_AGAIN = 0.005  # seconds between two attempts to stop one call
_STACK = 256 << 10  # bytes, of the memory that the worker may have


class Deadline:
    """The time that each call has; beginning and ending one costs two assignments."""

    def __init__(self, limit: int, act: Callable[[], None]) -> None:
        """`limit` is ns; `act` ends what runs, from another thread."""
        self.limit: int = limit
        self._act = act
        self._since = 0  # monotonic ns at which the call began that runs; 0: none does
        self._idle = True
        self._closed = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> int:
        """A call begins; return when, monotonic ns."""
        self._since = now = time.monotonic_ns()
        if self._idle:
            self._stir()
        return now

    def end(self) -> None:
        """It has ended."""
        self._since = 0

    def close(self) -> None:
        """Let the thread end; no call comes any more."""
        self._closed = True
        self._wake.set()

    def _stir(self) -> None:
        """Wake the thread; it is made with the first call, when the process has confined itself."""
        if self._thread is None:
            before = threading.stack_size(_STACK)
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
            threading.stack_size(before)
        self._wake.set()

    def _watch(self) -> None:
        while not self._closed:
            since = self._since
            if not since:
                self._sleep()
                continue
            left = since + self.limit - time.monotonic_ns()
            if left > 0:
                time.sleep(left / 1e9)
            elif self._since == since:
                self._act()
                time.sleep(_AGAIN)

    def _sleep(self) -> None:
        """Sleep until a call begins."""
        self._idle = True
        if not self._since:
            self._wake.wait()
        self._wake.clear()
        self._idle = False
