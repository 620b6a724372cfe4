"""Structured logs: a fixed sentence and fields, one JSON object a line on standard error.

Personal values (speech, numbers, ids of devices and people) go into `pii=`, become `pii.NAME` fields and are
withheld unless the process was configured to show them. Errors logged with a traceback keep their type and
places, not their text, which may quote a payload. A sentence that repeats is written at most `BURST` times a
second; the next line of it says how many were left out.

DEBUG is never per event. WARNING: odd, nothing lost. ERROR: data lost, or someone must act.
"""

import io
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

BURST = 20  # lines of one sentence in one second
_SENTENCES = 1024  # sentences remembered for that; beyond it the memory starts anew
_encode = msgspec.json.Encoder(enc_hook=str).encode


class Logger:
    """Writes one part's log lines."""

    __slots__ = ("_log", "name")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self._log = logging.getLogger(name)

    def debug(self, sentence: str, *, pii: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Say something that only a developer looks for."""
        self._write(logging.DEBUG, sentence, pii, fields)

    def info(self, sentence: str, *, pii: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Say what happened as planned."""
        self._write(logging.INFO, sentence, pii, fields)

    def warning(self, sentence: str, *, pii: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Say what is odd; nothing was lost."""
        self._write(logging.WARNING, sentence, pii, fields)

    def error(self, sentence: str, *, pii: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Say what was lost, or what someone must act on."""
        self._write(logging.ERROR, sentence, pii, fields)

    def exception(self, sentence: str, *, pii: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """Say what was lost, with the type and the places of the error being handled."""
        self._log.error("%s", sentence, exc_info=True, extra={"fields": fields, "pii": pii})

    def _write(
        self, level: int, sentence: str, pii: Mapping[str, Any] | None, fields: dict[str, Any]
    ) -> None:
        if self._log.isEnabledFor(level):
            self._log.log(level, "%s", sentence, extra={"fields": fields, "pii": pii})


def get_logger(name: str) -> Logger:
    """Return the logger of a part, such as `rimward.outbox`."""
    return Logger(name)


def configure(
    process: str, level: int | str = logging.INFO, *, stream: TextIO | None = None, show_pii: bool = False
) -> None:
    """Send every log line of this process to standard error as JSON, under the process's name.

    What an app prints is written line by line from now on: it is in the process's log when it happens.
    """
    printed: Any = sys.stdout
    if isinstance(printed, io.TextIOWrapper):  # a test's need not be one
        printed.reconfigure(line_buffering=True)
    handler = _Handler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter(process, show_pii=show_pii))
    handler.addFilter(Burst(time.monotonic))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object."""

    def __init__(self, process: str, *, show_pii: bool = False) -> None:
        super().__init__()
        self._process = process
        self._show_pii = show_pii

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line |= _error_fields(record.exc_info[1])
        fields: dict[str, Any] = getattr(record, "fields", {})
        for name, value in fields.items():
            line[name if name not in line else f"field.{name}"] = value
        pii: dict[str, Any] = getattr(record, "pii", None) or {}
        for name, value in pii.items():
            line[f"pii.{name}"] = value if self._show_pii else "withheld"
        if left_out := getattr(record, "left_out", 0):
            line["left_out"] = left_out
        return _encode(line).decode()


class Burst(logging.Filter):
    """Lets a sentence through at most `BURST` times a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now  # monotonic seconds
        self._seen: dict[
            tuple[str, str], list[float]
        ] = {}  # by logger and sentence: [second, lines, left out]

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is written."""
        if len(self._seen) >= _SENTENCES:
            self._seen.clear()
        # Our sentences are fixed and come as an argument; those of libraries are fixed without theirs.
        sentence = record.getMessage() if hasattr(record, "fields") else str(record.msg)
        now = self._now()
        window = self._seen.setdefault((record.name, sentence), [now, 0, 0])
        if now - window[0] >= 1.0:
            record.left_out = int(window[2])
            window[:] = [now, 0, 0]
        window[1] += 1
        if window[1] > BURST:
            window[2] += 1
            return False
        return True


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines; a closed or full standard error is counted, never raised or printed."""

    failures = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 (the base class's signature)
        """Count a line that could not be written."""
        self.failures += 1


def _error_fields(error: BaseException) -> dict[str, Any]:
    places = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "at": [f"{place.filename.rpartition('/')[2]}:{place.lineno}" for place in places],
    }
