"""Event times: integer nanoseconds since 1970 in UTC, and the aware datetimes that users see."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_ns(moment: datetime) -> int:
    """Return an aware datetime as nanoseconds since the epoch.

    Raises:
        ValueError: the datetime names no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write it with an offset or Z")
    return (moment - _EPOCH) // _MICROSECOND * 1000


def from_ns(ns: int) -> datetime:
    """Return nanoseconds since the epoch as a datetime in UTC, to the microsecond."""
    return _EPOCH + timedelta(microseconds=ns // 1000)
