"""Durations as users write them: a timedelta, or a number with its unit."""

import re
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = timedelta | str

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)


def seconds(duration: Duration) -> float:
    """Return a duration in seconds.

    Raises:
        ValueError: it has no unit, an unknown one, or is not longer than nothing.
    """
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, str) and (match := _TEXT.fullmatch(duration)):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass bare numbers)
        value = float(match[1]) * _UNITS[match[2]]
    else:
        raise ValueError(
            f"{duration!r} is not a duration; write '5ms', '2s', '1m', '24h', '7d' or a timedelta"
        )
    if value <= 0:
        raise ValueError(f"{duration!r} is not a duration longer than nothing")
    return value


def nanoseconds(duration: Duration) -> int:
    """Return a duration in nanoseconds."""
    return round(seconds(duration) * 1_000_000_000)
