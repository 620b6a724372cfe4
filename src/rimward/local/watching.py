"""Noticing that an app was saved, by its files' times and sizes: it needs no service of the system."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

EVERY = 0.3  # seconds between looks

Stamps = dict[str, tuple[int, int]]


def stamps(folders: list[Path]) -> Stamps:
    """Return time of change (ns) and size of every Python file directly in the folders."""
    found: Stamps = {}
    for folder in folders:
        for file in folder.glob("*.py"):
            try:
                status = file.stat()
            except OSError:  # gone since it was listed
                continue
            found[str(file)] = status.st_mtime_ns, status.st_size
    return found


class Changes:
    """Tells a save once it is whole: two looks in a row agree with each other, not with the last save."""

    def __init__(self, first: Stamps) -> None:
        self._told = self._last = first

    def see(self, now: Stamps) -> bool:
        """Take one look; return whether a save is to be told."""
        settled, self._last = now == self._last, now
        if not settled or now == self._told:
            return False
        self._told = now
        return True


async def saves(folders: Callable[[], list[Path]], every: float = EVERY) -> AsyncIterator[None]:
    """Yield whenever a Python file in the folders was saved, added or removed."""
    changes = Changes(await asyncio.to_thread(stamps, folders()))
    while True:
        await asyncio.sleep(every)
        if changes.see(await asyncio.to_thread(stamps, folders())):
            yield
