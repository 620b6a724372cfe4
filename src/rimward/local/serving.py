"""`rimward hub run` and `rimward node run`: what a plan says is started, told, and stopped in order."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from rimward.local.attending import Attendant
from rimward.local.folder import DataFolder
from rimward.local.supervision import Supervision


class Plan(Protocol):
    """What is to run."""

    @property
    def names(self) -> Sequence[str]:
        """The processes that have to be ready."""
        ...

    def write_spec(self, ports: dict[str, int], /) -> Path:
        """Write the supervisor's spec."""
        ...


class Served(Struct, frozen=True):
    """One run: what is told when all serves."""

    app: str
    told: tuple[str, ...]  # the keys of the pids
    ready: Callable[[Attendant], Any]  # makes the ready line
    say_ready: Callable[[Any], None]
    say_pids: Callable[[dict[str, int | None]], None]
    note: Callable[[str], None]
    duration: float | None  # seconds from ready to the stop; None: until told
    timeout: float  # seconds until all has to be ready


async def serve(folder: DataFolder, plan: Plan, served: Served, lock: int) -> None:
    """Run until a signal, or until the duration is over.

    Raises:
        DevError: it can't start, or did not become ready.
    """
    supervision = Supervision(plan.write_spec, folder.logs / "supervisor.log", lock)
    attendant = Attendant(supervision, plan.names, served.told, folder.logs)
    attendant.on_again = lambda: served.say_pids(attendant.pids)
    attendant.on_news = served.note
    with attendant.signals_caught():
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(attendant.follow())  # ends when the supervisor has stopped
                living = tasks.create_task(_live(folder, served, attendant))
                await attendant.stop.wait()
                living.cancel()
                supervision.stop()
        finally:
            await asyncio.to_thread(folder.ready.unlink, missing_ok=True)
    if attendant.failure is not None:
        raise attendant.failure


async def _live(folder: DataFolder, served: Served, attendant: Attendant) -> None:
    if not await attendant.all_ready(served.timeout):
        return
    ready = await asyncio.to_thread(served.ready, attendant)
    content = {"pid": os.getpid(), "app": served.app, "link": None, "ready": ready}
    await asyncio.to_thread(folder.write, folder.ready, content)
    served.say_ready(ready)
    if served.duration is not None:
        await asyncio.sleep(served.duration)
        attendant.stop.set()
