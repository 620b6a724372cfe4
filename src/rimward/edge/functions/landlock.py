"""Which files a process may see from now on [landlock(7)], for good and for all that it starts."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress

from rimward.edge.functions.syscalls import call, prctl

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_MAKE = sum(1 << bit for bit in (4, 5, 7, 8, 10, 12))  # remove and make folders, files, pipes, links
_REFER, _TRUNCATE, _IOCTL = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_ALL = (1 << 13) - 1  # of the first version
_SCOPES = 0b11  # abstract sockets and signals of others
_SET_NO_NEW_PRIVS = 38
_BENEATH = 1
_VERSION = 1  # flag: which version is there?


def version() -> int:
    """Return the version that the kernel has; 0 for none."""
    try:
        return call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


class Rules:
    """What this process may read and write once they are enforced; all else it may not."""

    def __init__(self, hidden: tuple[str, ...]) -> None:
        """`hidden` is never allowed, nor what lies below it.

        Raises:
            OSError: the kernel has no landlock.
        """
        abi = version()
        if abi == 0:
            raise OSError(38, "the kernel has no landlock")
        handled = (
            _ALL | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0) | (_IOCTL if abi >= 5 else 0)
        )
        fields = [handled, *([0] if abi >= 4 else []), *([_SCOPES] if abi >= 6 else [])]
        attributes = ctypes.create_string_buffer(struct.pack(f"={len(fields)}Q", *fields))
        self.hidden: tuple[str, ...] = hidden
        self._handled = handled
        self._ruleset = call(
            "landlock_create_ruleset", ctypes.c_void_p(ctypes.addressof(attributes)), 8 * len(fields), 0
        )

    def allow(self, paths: Iterable[str], *, write: bool = False, execute: bool = False) -> None:
        """Let it read, or write and read, below some paths; what is allowed already stays so."""
        rights = _READ_FILE | _READ_DIR | (_EXECUTE if execute else 0)
        if write:
            rights = (rights | _WRITE_FILE | _MAKE | _REFER | _TRUNCATE | _IOCTL) & self._handled
        for path in paths:
            for place, given in around(os.path.realpath(path), rights, self.hidden):
                with suppress(OSError):  # it is not there, or nobody may open it: then nobody reads it either
                    _rule(self._ruleset, place, given)

    def enforce(self) -> None:
        """Enforce them, for good.

        Raises:
            OSError: the kernel says no.
        """
        try:
            prctl(_SET_NO_NEW_PRIVS, 1)
            call("landlock_restrict_self", self._ruleset, 0)
        finally:
            self.close()

    def close(self) -> None:
        """Forget them."""
        os.close(self._ruleset)


def around(path: str, rights: int, hidden: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield what to allow so that all below a path is, but for what is hidden in it.

    What lies beside something hidden is named piece by piece: what is made there later is not seen.
    """
    if any(_within(path, one) for one in hidden):
        return
    if not any(_within(one, path) for one in hidden):
        yield path, rights
        return
    yield path, rights & _READ_DIR
    try:
        names = os.listdir(path)  # noqa: PTH208 (text, as the rest)
    except OSError:
        return
    for name in names:
        inner = os.path.join(path, name)  # noqa: PTH118 (as above)
        if not os.path.islink(inner):  # noqa: PTH114 (as above) what it leads to is allowed where it lies, or not
            yield from around(inner, rights, hidden)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _rule(ruleset: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        if rights:
            rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, descriptor))
            call("landlock_add_rule", ruleset, _BENEATH, ctypes.c_void_p(ctypes.addressof(rule)), 0)
    finally:
        os.close(descriptor)
