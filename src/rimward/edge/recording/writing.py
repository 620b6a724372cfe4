"""A recording's file: bounded, readable by its owner alone, and its last line says why it ends."""

import os
from pathlib import Path
from typing import Literal

from rimward.edge.recording.redaction import Redactor
from rimward.wire.recording import Asked, Begun, Body, Ended, Line, Message, encode

RESERVE = 512  # bytes for the last line
End = Literal["time", "bytes", "stopped", "node"]


class RecordingFile:
    """The file of one recording; its methods may block."""

    def __init__(self, path: Path, limit: int, redactor: Redactor) -> None:
        """Make it.

        Raises:
            OSError: it is there already, or the disk refused it.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.full: bool = False
        self.lines: int = 0
        self.withheld: int = 0
        self._limit = limit - RESERVE
        self._redactor = redactor
        self._size = 0
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, events: list[list[Line]]) -> None:
        """Write events with what came of them, each whole or not at all.

        Raises:
            OSError: the disk refused it.
        """
        data = bytearray()
        for lines in events:
            text = b"".join([encode(self._redactor.line(line)) for line in lines])
            if self.full or self._size + len(data) + len(text) > self._limit:
                self.full = True
                break
            data += text
            self.lines += len(lines)
            self.withheld += any(_withheld(line) for line in lines)
        self._write(data)

    def end(self, at: int, why: End, dropped: int) -> None:
        """Write the last line, `at` ns after the beginning, and close it.

        Raises:
            OSError: the disk refused it.
        """
        try:
            self._write(encode(Ended(at, why, self.lines, self.withheld, dropped)))
        finally:
            os.close(self._fd)

    def close(self) -> None:
        """Close it as it is."""
        os.close(self._fd)

    def _write(self, data: bytes | bytearray) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._size += len(data)


def _withheld(line: Line) -> bool:
    match line:
        case Message(payload=Body(withheld=int())) | Asked(payload=Body(withheld=int())):
            return True
        case _:
            return False


def redacted_of(begun: Begun, redactor: Redactor, labels: tuple[str, ...], state: str) -> Begun:
    """Return a first line that says what is withheld and replaced."""
    from msgspec.structs import replace

    return replace(begun, labels=labels, redacted=tuple(sorted(redactor.fields)), state=state)
