"""Why a Site can not do what a test asks, and what it tells of a test that failed."""

import sqlite3
from collections.abc import Callable, Sequence

from rimward.edge.dispatch.failures import place_of
from rimward.edge.outbox import DeadLetter
from rimward.events import RimwardError

TOLD = 10  # errors and dead letters that a failed test's note names


class CloudMissing(RimwardError):
    """What reads the lake was called where the cloud extra is not installed."""

    code = "cloud-missing"


class SiteClosed(RimwardError):
    """A Site was used outside its `async with`."""

    code = "site-closed"


def tell(
    error: BaseException, app: str, raised: Sequence[BaseException], letters: Callable[[], list[DeadLetter]]
) -> None:
    """Add to an error, as a note, what a Site's functions have raised and its dead letters, if any."""
    lines = [f"{type(one).__name__}: {one} at {place_of(one)}: see site.errors" for one in raised]
    try:
        lines += [
            f"dead letter of {letter.source} from {letter.sender}: {letter.reason}: {letter.detail}"
            for letter in letters()
        ]
    except (sqlite3.Error, RimwardError) as unreadable:  # the error that is told of comes first
        lines.append(f"the dead letters can't be read: {unreadable}")
    if lines:
        error.add_note(f"In the Site of {app!r}:")
        for line in lines[:TOLD]:
            error.add_note(f"  {line}")
        if len(lines) > TOLD:
            error.add_note(f"  and {len(lines) - TOLD} more")
