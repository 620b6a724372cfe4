"""The slot: a file in which a process says which of its user's functions runs, and since when.

The process writes it around each call, the supervisor reads it: both map the file. Its words are unsigned, of
64 bits, in the machine's order; this module is the layout, and all that the two know of each other.

    0  START     monotonic ns at which the call began; 0: none runs, or one waits
    1  FUNCTION  which one, from 1
    2  EVENT     digest of what it works on
    3  ASKED     written by the supervisor: START of the call that is to stop
    4  HANDS     what the supervisor may do: STOP, REPORT (nothing is killed), or OFF (a debugger looks on)
    5  COUNT     how many functions there are
    8  LIMITS    for each two words of ns: when it is asked to stop, and past which the process may be killed

Behind them is JSON: `{"names": [...], "root": FOLDER}`, what the functions are called and where their code
is.
"""

import json
import mmap
import os
from typing import NamedTuple

START, FUNCTION, EVENT, ASKED, HANDS, COUNT = range(6)
LIMITS = 8
STOP, REPORT, OFF = range(3)
WORD = 8  # bytes
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
        count = self.words[COUNT]
        text = bytes(self._map[(LIMITS + 2 * count) * WORD :]).rstrip(b"\0")
        about = json.loads(text)
        self.functions: list[Watched] = [
            Watched(str(name), self.words[LIMITS + 2 * at], self.words[LIMITS + 2 * at + 1])
            for at, name in enumerate(about["names"][:count])
        ]
        self.root: str = str(about["root"])

    def close(self) -> None:
        """Let go of the file."""
        self.words.release()
        self._map.close()


def write(path: str, functions: list[Watched], hands: int, root: str) -> None:
    """Make a slot in the place of whatever stands there; who has mapped that keeps it.

    Raises:
        OSError: the disk refused it.
    """
    names = json.dumps({"names": [one.name for one in functions], "root": root}).encode()
    used = (LIMITS + 2 * len(functions)) * WORD + len(names)
    data = bytearray(-(-used // mmap.PAGESIZE) * mmap.PAGESIZE)
    words = memoryview(data).cast("Q")
    words[HANDS], words[COUNT] = hands, len(functions)
    for at, one in enumerate(functions):
        words[LIMITS + 2 * at], words[LIMITS + 2 * at + 1] = one.soft, one.hard
    words.release()
    data[used - len(names) : used] = names
    fresh = f"{path}.{os.getpid()}"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.replace(fresh, path)  # noqa: PTH105 -- pathlib would be a tenth of the supervisor's memory
