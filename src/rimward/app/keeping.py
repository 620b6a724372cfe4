"""What `@app.fact` says of how long rows are kept, checked."""

from rimward.app.declared import check_choice, duration
from rimward.app.facts import Priority, WhenFull
from rimward.app.manifest import Keeping
from rimward.app.problems import Problem
from rimward.events import Duration, Size, nbytes

_CHOICES = ("shed-oldest", "shed-lowest", "refuse")


def keeping_of(
    priority: Priority,
    retention: Duration | None,
    max_age: Duration | None,
    max_bytes: Size | None,
    when_full: WhenFull | None,
    *,
    live_first: bool,
) -> Keeping:
    """Return a fact's options as its manifest has them.

    Raises:
        Problem: one of them is no duration, size or choice, or a critical fact would be shed.
    """
    if when_full is not None:
        check_choice(when_full, _CHOICES, "fact: when_full")
    if priority == "critical" and (max_age is not None or when_full not in (None, "refuse")):
        raise Problem(
            "fact: rows of a critical fact are never given up",
            'take max_age= and when_full= away, or make its priority "normal"',
        )
    try:
        most = None if max_bytes is None else nbytes(max_bytes)
    except ValueError as error:
        raise Problem(f"fact: max_bytes: {error}", 'write max_bytes="64MiB"') from None
    return Keeping(
        retention=duration(retention, "fact: retention", 'retention="365d"'),
        max_age=duration(max_age, "fact: max_age", 'max_age="7d"'),
        max_bytes=most,
        when_full=when_full,
        live_first=live_first,
    )
