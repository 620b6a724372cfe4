"""Passwords: argon2id, off the loop, in a pool that is bounded in threads and in what waits for it.

The parameters are the first of OWASP's equivalent choices (19 MiB, 2 passes, 1 lane): some 20 ms of one core,
and a pool of two takes 38 MiB at most. What was right once is remembered for a while by a keyed digest, so
HTTP's Basic costs microseconds from the second request on, and a fleet that comes back is let in at once.
"""

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

TIME_COST = 2
MEMORY_COST = 19_456  # KiB
PARALLELISM = 1
MAX_PASSWORD = 1024  # bytes; a longer one is refused unread


class PasswordLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What the checking of passwords may take."""

    threads: int = 2
    waiting: int = 1024  # checks that wait for a thread; beyond it a peer is told to come later
    remembered: int = 8192  # passwords that were right
    remember: float = 300.0  # seconds


def hashed(password: bytes) -> str:
    """Return a password as the access file keeps it; takes some 20 ms."""
    from argon2 import PasswordHasher

    return PasswordHasher(TIME_COST, MEMORY_COST, PARALLELISM).hash(password)


def _is_right(stored: str, password: bytes) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(stored.encode(), password, Type.ID)
    except (Argon2Error, InvalidHashError):
        return False


class Passwords:
    """Checks passwords without ever holding up the loop."""

    def __init__(
        self, limits: PasswordLimits, monotonic: Callable[[], int], counters: dict[str, int]
    ) -> None:
        """`monotonic` is in ns."""
        self._limits = limits
        self._monotonic = monotonic
        self._counters = counters
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._key = os.urandom(32)
        self._right: dict[bytes, int] = {}  # digest of hash and password: until when, monotonic ns
        self._nobodys = ""  # hash of no password, for names that nobody has

    @property
    def waiting(self) -> int:
        """How many checks are not at their end."""
        return self._waiting

    def knows(self, stored: str, password: bytes) -> bool:
        """Tell whether a password was right a short while ago."""
        until = self._right.get(self._digest(stored, password))
        return until is not None and until > self._monotonic()

    def check(
        self,
        stored: str | None,
        password: bytes,
        *,
        wanted: Callable[[], bool],
        answered: Callable[[bool], None],
    ) -> bool:
        """Check a password; `answered` is called on the loop. False where too many wait already.

        `stored` is None for a name that nobody has: that takes as long as a wrong password. A check that is
        no longer wanted when its turn comes is left out.
        """
        if self._waiting >= self._limits.waiting:
            self._counters["passwords_refused"] = self._counters.get("passwords_refused", 0) + 1
            return False
        loop = asyncio.get_running_loop()
        self._waiting += 1

        def work() -> bool:
            right = wanted() and _is_right(stored or self._of_nobody(), password) and stored is not None
            with suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(ended, right)
            return right

        def ended(right: bool) -> None:  # noqa: FBT001 (what call_soon_threadsafe hands over)
            self._waiting -= 1
            if right and stored is not None:
                self._remember(self._digest(stored, password))
            answered(right)

        self._threads().submit(work)
        return True

    async def run(self, function: Callable[[], T]) -> T:
        """Run something that reads files, behind the checks that wait."""
        return await asyncio.get_running_loop().run_in_executor(self._threads(), function)

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._limits.threads, "passwords")
        return self._pool

    def _of_nobody(self) -> str:
        if not self._nobodys:
            self._nobodys = hashed(os.urandom(16))
        return self._nobodys

    def _digest(self, stored: str, password: bytes) -> bytes:
        """Return what stands for a right password: it is worth nothing without this process's key."""
        return hmac.digest(self._key, hashlib.sha256(stored.encode()).digest() + password, "sha256")

    def _remember(self, digest: bytes) -> None:
        right = self._right
        while len(right) >= self._limits.remembered:
            del right[next(iter(right))]
        right.pop(digest, None)
        right[digest] = self._monotonic() + round(self._limits.remember * 1e9)

    def close(self) -> None:
        """End the threads without waiting for them; what was not begun is not checked any more."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
