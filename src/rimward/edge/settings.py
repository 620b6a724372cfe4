"""A node's settings of its app: where they lie, and how a change of them reaches functions while they run.

Each call has one snapshot, which can't change. What a file says after a change is checked first: settings
that do not fit their type, or lack a secret that is needed, are refused whole, and those before stay.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from rimward.app import App
from rimward.app.settings import settings_of
from rimward.edge.config import NodeConfig
from rimward.events import LoadError
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.settings")

LOOK = 1.0  # seconds between two looks at the file
Stamp = tuple[int, int, int]
_NOT_THERE: Stamp = (0, 0, 0)


def file_of(config: NodeConfig) -> Path | None:
    """Return the file of the app's settings, None where there is none."""
    name = config.settings or os.environ.get("RIMWARD_CONFIG")
    return Path(name) if name else None


def read_settings(app: App, config: NodeConfig) -> Struct | None:
    """Return the app's own settings, from the environment and a file.

    Raises:
        LoadError: a value is missing, is not of its field's type, or names no field; or there is no file.
    """
    file = file_of(config)
    try:
        return settings_of(app, None if file is None else file.read_bytes(), os.environ)
    except OSError as error:
        raise LoadError(
            f"the file of settings {file} can't be read: {error.strerror or error}", cure="correct its path"
        ) from None


class LiveSettings:
    """Looks at the file of settings again and again, and has a changed one taken over or says why not."""

    def __init__(
        self,
        config: NodeConfig,
        app: Callable[[], App],
        take: Callable[[Struct | None], bool],
        counters: dict[str, int],
    ) -> None:
        """`take` has the functions of `app` see other settings; False: they are the same."""
        self._config = config
        self._app = app
        self._take = take
        self._counters = counters
        self._file = file_of(config)
        self._stamp = _stamp(self._file)
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Return why the file as it is now is not what functions see."""
        return self._problem

    async def follow(self) -> None:
        """Look until cancelled."""
        while self._file is not None:
            await asyncio.sleep(LOOK)
            await self.look()

    async def look(self) -> None:
        """Take over what has changed."""
        stamp = await asyncio.to_thread(_stamp, self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        app = self._app()
        try:
            settings = await asyncio.to_thread(read_settings, app, self._config)
            if app is not self._app():  # another version runs, which has read them itself
                return
            taken = self._take(settings)
        except LoadError as error:
            self._problem = f"{error.message}: those before stay"
            self._count("settings_refused")
            log.warning(
                "changed settings are refused: those before stay", reason=error.message, cure=error.cure
            )
            return
        self._problem = None
        if taken:
            self._count("settings_taken")
            log.info("changed settings are seen by the next calls")

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1


def _stamp(file: Path | None) -> Stamp:
    """Return what changes when a file does."""
    try:
        found = None if file is None else file.stat()
    except OSError:
        found = None
    return _NOT_THERE if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
