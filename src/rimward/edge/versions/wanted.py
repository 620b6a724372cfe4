"""Asking a node to go over to the app as its files are now: two files in the node's folder, and SIGHUP.

Whoever may write into the folder may ask. One who asks writes a number that was not there before, and the
node answers under the same number.
"""

from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

WANTED, TAKEN = "version.json", "version.taken.json"  # in the node's folder
Outcome = Literal["running", "kept", "restart"]
"""What became of it: it runs; the one before runs on; it runs after a start of the node's process."""

T = TypeVar("T", bound=Struct)


class Wanted(Struct, frozen=True):
    """What is asked for."""

    number: int
    app: str  # as the node's configuration names it
    digest: str = ""  # of its file, for status pages


class Taken(Struct, frozen=True):
    """What became of it."""

    number: int
    outcome: Outcome
    reason: str = ""  # why it was not taken over, one sentence
    file: str = ""  # where the reason lies, where it has a place
    line: int = 0
    cure: str = ""
    seconds: float = 0.0  # that it took, of which ...
    still: float = 0.0  # ... so many in one go: nothing else ran in the process


def write(folder: Path, name: str, content: Struct) -> None:
    """Write one of the files; who reads it sees the old or the new, never a part.

    Raises:
        OSError: the disk refused it.
    """
    draft = folder / f".{name}.new"
    draft.write_bytes(msgspec.json.encode(content))
    draft.replace(folder / name)


def read(folder: Path, name: str, type_: type[T]) -> T | None:
    """Return what one of the files says; None where it is not there, or makes no sense."""
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=type_)
    except (OSError, msgspec.DecodeError):
        return None
