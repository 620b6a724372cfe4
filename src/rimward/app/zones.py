"""Time zones by their names, from the machine's database: the one thing that an app's triggers read."""

import datetime as dt

from rimward.app.problems import Problem


def zone_of(name: str) -> dt.tzinfo:
    """Return a time zone.

    Raises:
        Problem: the database has none of that name.
    """
    if name == "UTC":
        return dt.UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # where a zone is asked for: 4 modules

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise Problem(
            f"cron: there is no time zone {name!r} on this machine",
            'write a name such as tz="Europe/Berlin"; a machine without any needs the package tzdata',
        ) from None
