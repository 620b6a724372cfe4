"""The access file's way into a running node: read at start, and again when it or a key of it changes."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rimward.app.manifest import FunctionSpec
from rimward.edge.access.access import Access
from rimward.edge.access.clock import TrustedClock
from rimward.edge.access.errors import AccessError
from rimward.edge.access.grants import Patterns
from rimward.observe import Logger, get_logger

if TYPE_CHECKING:
    from rimward.edge.access.book import Book

log: Logger = get_logger("rimward.access")

PERIOD = 2.0  # seconds between two looks at the files
EXPIRY = 10.0  # seconds between two looks for tokens whose time is over
Stamp = tuple[tuple[int, int, int], ...]


def load_book(path: Path, own: Patterns, now: Callable[[], int]) -> "Book":
    """Return a file as a book; `now` is the credentials' clock, wall ns.

    Raises:
        AccessError: the file, or a key that it names, can't be used.
    """
    from rimward.edge.access.book import Book
    from rimward.edge.access.file import read
    from rimward.edge.access.tokens import Tokens

    file = read(path)
    return Book(file, own, Tokens(file.jwt, path, now))


def open_access(
    path: Path | None,
    functions: Iterable[FunctionSpec],
    monotonic: Callable[[], int],
    now: TrustedClock,
) -> tuple[Access, "Watch | None"]:
    """Return who may come in, and what keeps that current; without a file everybody may, and nothing does.

    Raises:
        AccessError: the file, or a key that it names, can't be used.
    """
    if path is None:
        return Access(None, monotonic), None
    from rimward.edge.access.own import own_patterns

    own = own_patterns(functions)
    stamp = stamp_of(path)
    book = load_book(path, own, now)
    stamp += stamp_of(path, book)[1:]
    access = Access(book, monotonic)
    return access, Watch(access, path, lambda own: load_book(path, own, now), (stamp, own), now.note)


class Watch:
    """Looks at the files and reloads; what can't be used is told, and the book stays as it was."""

    def __init__(
        self,
        access: Access,
        path: Path,
        load: "Callable[[Patterns], Book]",
        seen: tuple[Stamp, Patterns],
        note: Callable[[], None],
    ) -> None:
        """`seen` is what access was opened with; `note` keeps the time that credentials are judged by."""
        self._access = access
        self._note = note
        self._path = path
        self._load = load
        self._stamp, self._own = seen
        self._now = asyncio.Event()

    def turn(self, functions: Iterable[FunctionSpec]) -> None:
        """Reload at once, with what the triggers of another version of the app let an identity do."""
        from rimward.edge.access.own import own_patterns

        self._own = own_patterns(functions)
        self.soon()

    def soon(self) -> None:
        """Reload at once, as SIGHUP asks."""
        self._stamp = ()
        self._now.set()

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        slept = 0.0
        while True:
            try:
                async with asyncio.timeout(PERIOD):
                    await self._now.wait()
            except TimeoutError:
                slept += PERIOD
            self._now.clear()
            reloaded = await self.look()
            if slept >= EXPIRY and not reloaded:
                self._access.look_for_ends()
            slept = 0.0 if slept >= EXPIRY else slept

    async def look(self) -> bool:
        """Reload where something has changed; tell whether that was so."""
        found = await self._access.passwords.run(self._read)
        if found is None:
            return False
        stamp, book = found
        self._stamp: Stamp = stamp
        if isinstance(book, AccessError):
            self._access.failed_to_reload()
            log.error("the access file can't be used: who may come in stays as it was", error=str(book))
            return False
        log.info("the access file was read again", devices=len(book.devices))
        self._access.replace(book)
        return True

    def _read(self) -> "tuple[Stamp, Book | AccessError] | None":
        """Return the new state of the files, off the loop; None where nothing has changed."""
        self._note()
        stamp = stamp_of(self._path, self._access.book)
        if stamp == self._stamp:
            return None
        try:
            return stamp, self._load(self._own)
        except AccessError as error:
            return stamp, error


def stamp_of(path: Path, book: "Book | None" = None) -> Stamp:
    """Return what changes when a file, or a key that its book names, does."""
    keys = [path.parent / key.file for one in (book.file.jwt if book else ()) for key in one.key]
    return tuple(map(_stat, (path, *keys)))


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
