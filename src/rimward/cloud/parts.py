"""The parts that the cloud's processes are made of: each runs for ever, and none ends another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

import nats.errors
import nats.js.errors

from rimward.network.heeding import heed_cancellation
from rimward.observe import Logger, get_logger
from rimward.observe.life import live

log: Logger = get_logger("rimward.hub")

BEAT = 1.0  # seconds between two signs of life
RETRY = 0.25  # seconds before something starts over
BROKEN = (OSError, nats.errors.Error, nats.js.errors.Error, TimeoutError)  # a bus that is not there


class Part(Protocol):
    """One thing that a process of the cloud does; a process is a list of them."""

    async def run(self) -> None:
        """Work until cancelled."""
        ...


async def together(parts: Sequence[Part], fatal: tuple[type[Exception], ...] = ()) -> None:
    """Run parts side by side, and start one over that fails.

    Raises:
        ExceptionGroup: a part raised one of the `fatal` errors, and all have ended.
    """
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(again(type(part).__name__.lower(), part.run, fatal))


async def again(
    name: str, work: Callable[[], Awaitable[None]], fatal: tuple[type[Exception], ...] = ()
) -> None:
    """Do something for ever: however it ends, it starts over. Only a `fatal` error is raised."""
    while True:
        try:
            await work()
        except fatal:
            raise
        except Exception as error:  # noqa: BLE001 (the outermost edge: what else runs here goes on)
            first = _first(error)
            if isinstance(first, fatal):
                raise first from None
            if isinstance(first, BROKEN):
                log.info("a part starts over", part=name, error=type(first).__name__)
            else:
                log.error("a part failed and starts over", part=name, error=told(first))  # noqa: TRY400 (one line; it is tried again)
        heed_cancellation()
        await asyncio.sleep(RETRY)


class Alive:
    """Signs of life of a process, as a file's time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def run(self) -> None:
        """Give them."""
        while True:
            await asyncio.to_thread(live, self._path)
            await asyncio.sleep(BEAT)


def told(error: BaseException) -> str:
    """Return an error in one line."""
    return f"{type(error).__name__}: {error}"


def _first(error: BaseException) -> BaseException:
    """Return one of the errors that ended a group; they tell the same."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
