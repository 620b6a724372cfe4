"""Log files that processes append to directly, so that a log outlives both the process and the supervisor."""

import os
from contextlib import suppress

TAIL_LINES = 20
TAIL_BYTES = 8192
LINE_LENGTH = 500  # characters


def open_log(path: str) -> int:
    """Open a log for appending and return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def open_log_or_nothing(path: str) -> tuple[int, str]:
    """Open a log, or where the disk refuses it a descriptor that forgets; return it with the reason."""
    try:
        return open_log(path), ""
    except OSError as error:
        return os.open(os.devnull, os.O_WRONLY), error.strerror or str(error)


def size(path: str) -> int:
    """Return the size of a log in bytes; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 -- pathlib would be a tenth of this process's memory
    except OSError:
        return 0


def rotate(path: str, limit: int) -> None:
    """Move what a log holds to `path.1` once it is over the limit in bytes.

    The writer keeps its descriptor, so the file is copied and cut: a line written between the two is lost.
    """
    if size(path) <= limit:
        return
    with suppress(OSError):  # a full disk must not stop the supervision
        with open(path, "rb") as log, open(path + ".1", "wb") as older:  # noqa: PTH123 -- as above
            while block := log.read(1 << 20):
                older.write(block)
        os.truncate(path, 0)


def tail(path: str, start: int) -> list[str]:
    """Return the last lines that were written after the offset `start`."""
    try:
        with open(path, "rb") as log:  # noqa: PTH123 -- pathlib would be a tenth of this process's memory
            end = log.seek(0, os.SEEK_END)
            log.seek(max(start if start <= end else 0, end - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line[:LINE_LENGTH] for line in lines[-TAIL_LINES:]]
