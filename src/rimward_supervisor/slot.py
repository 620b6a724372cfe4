"""The slot: a file in which a process says which of its user's functions runs, and since when.

The process writes it around each call, the supervisor reads it: both map the file. Its words are unsigned, of
64 bits, in the machine's order; this module is the layout, and all that the two know of each other.

    0  START     monotonic ns at which the call began; 0: none runs, or one waits
    1  FUNCTION  which one, from 1
    2  EVENT     digest of what it works on
    3  ASKED     written by the supervisor: START of the call that is to stop
    4  HANDS     what the supervisor may do: STOP, REPORT (nothing is killed), or OFF (a debugger looks on)
    5  COUNT     how many functions there are
    6  VERSION   raised when what follows has been written anew: other functions, in the same numbers and more
    8  LIMITS    for each two words of ns: when it is asked to stop, and past which the process may be killed

Behind them is JSON: `{"names": [...], "root": FOLDER}`, what the functions are called and where their code
is.
"""

import json
import mmap
import os
import sys
from contextlib import suppress
from typing import NamedTuple

START, FUNCTION, EVENT, ASKED, HANDS, COUNT, VERSION = range(7)
LIMITS = 8
STOP, REPORT, OFF = range(3)
WORD = 8  # bytes
ROOM = 16 << 10  # bytes for functions that come while the process runs
MAX_BYTES = 16 << 20  # of a slot: some ten thousand functions


class Watched(NamedTuple):
    """One function."""

    name: str
    soft: int  # ns of its own time after which it is asked to stop
    hard: int  # ns past which its process may be killed


class SlotFile:
    """A slot, mapped."""

    def __init__(self, path: str) -> None:
        """Map one that is there.

        Raises:
            OSError: it is not there.
            ValueError: it is no slot.
        """
        fd = os.open(path, os.O_RDWR)
        try:
            size = os.fstat(fd).st_size
            if not LIMITS * WORD <= size <= MAX_BYTES:
                raise ValueError(f"{path} has {size} bytes")
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self.words: memoryview = memoryview(self._map).cast("Q")
        self.functions: list[Watched] = []
        self.root: str = ""
        self._read()

    def _read(self) -> None:
        self._version = self.words[VERSION]
        count = self.words[COUNT]
        text = bytes(self._map[(LIMITS + 2 * count) * WORD :]).rstrip(b"\0")
        about = json.loads(text)
        self.functions = [
            Watched(str(name), self.words[LIMITS + 2 * at], self.words[LIMITS + 2 * at + 1])
            for at, name in enumerate(about["names"][:count])
        ]
        self.root = str(about["root"])

    def refresh(self) -> None:
        """Read the functions again where they have been written anew."""
        if self.words[VERSION] != self._version:
            with suppress(ValueError, KeyError, TypeError):  # it is being written: at the next look
                self._read()

    def rewrite(self, functions: list[Watched], root: str) -> bool:
        """Write other functions in the place of these; False where there is no room for them."""
        data = _tail(functions, root)
        if LIMITS * WORD + len(data) > len(self._map):
            return False
        self._map[LIMITS * WORD :] = data.ljust(len(self._map) - LIMITS * WORD, b"\0")
        self.words[COUNT] = len(functions)
        self.words[VERSION] += 1
        return True

    def close(self) -> None:
        """Let go of the file."""
        self.words.release()
        self._map.close()


def _tail(functions: list[Watched], root: str) -> bytes:
    """Return what stands behind the first words."""
    limits = b"".join(
        limit.to_bytes(WORD, sys.byteorder) for one in functions for limit in (one.soft, one.hard)
    )
    return limits + json.dumps({"names": [one.name for one in functions], "root": root}).encode()


def write(path: str, functions: list[Watched], hands: int, root: str) -> None:
    """Make a slot in the place of whatever stands there; who has mapped that keeps it.

    Raises:
        OSError: the disk refused it.
    """
    tail = _tail(functions, root)
    used = LIMITS * WORD + len(tail)
    data = bytearray(-(-(used + ROOM) // mmap.PAGESIZE) * mmap.PAGESIZE)
    words = memoryview(data).cast("Q")
    words[HANDS], words[COUNT] = hands, len(functions)
    words.release()
    data[LIMITS * WORD : used] = tail
    fresh = f"{path}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(fresh, path)  # noqa: PTH105 -- pathlib would be a tenth of the supervisor's memory
