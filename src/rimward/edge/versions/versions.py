"""A node's way from one version of its app to the next, with every connection open.

A new version is imported into fresh modules and made ready while the old one works on. It takes over between
two events. What is wrong with it is told, and then the old one has never stopped.
"""

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

from rimward.app import App
from rimward.app.fresh import forget_types, load_fresh
from rimward.edge.dispatch.version import Version
from rimward.edge.functions.wasm.needed import components_for
from rimward.edge.hooks import Hooks
from rimward.edge.secrets import give_secrets
from rimward.edge.settings import read_settings
from rimward.edge.versions.differences import why_restart
from rimward.edge.versions.wanted import TAKEN, WANTED, Taken, Wanted, read, write
from rimward.edge.watched import placing_for, root_of
from rimward.events import LoadError, RimwardError
from rimward.events.raised import place_of
from rimward.observe import Logger, get_logger

if TYPE_CHECKING:
    from rimward.edge.functions.placing import Placing
    from rimward.edge.node import Node

log: Logger = get_logger("rimward.versions")

FINISH = 60.0  # seconds that calls of the version before get to end before its stop hooks run


class _NotHere(Exception):
    """It can't be taken over while the process runs."""


class Versions:
    """Which version of its app a node runs."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._last = 0  # number of the newest wish that was taken up
        self._live: list[Version] = []  # that have calls, the newest last
        self.ending: set[asyncio.Task[None]] = set()  # what stops versions whose calls go on
        self.swaps: int = 0
        self.kept: int = 0  # versions that were not taken over

    def begin(self) -> None:
        """Take over what was asked for before the process started: it has loaded that."""
        wanted = read(self._node.folder, WANTED, Wanted)
        self._last = 0 if wanted is None else wanted.number
        self._live = [self._node.dispatcher.version]

    async def look(self) -> None:
        """Go over to another version where that is asked for, and tell what became of it."""
        folder = self._node.folder
        wanted = await asyncio.to_thread(read, folder, WANTED, Wanted)
        if wanted is None or wanted.number == self._last:
            return
        self._last = wanted.number
        taken = await self.take(wanted)
        try:
            await asyncio.to_thread(write, folder, TAKEN, taken)
        except OSError as error:
            log.error("what became of a version can't be told", error=error.strerror or str(error))  # noqa: TRY400 (it says it all)

    async def take(self, wanted: Wanted) -> Taken:
        """Go over to the app as its files are now; return what became of it."""
        clock = self._node.clocks.monotonic
        began = clock()
        try:
            app, modules = load_fresh(wanted.app)
        except LoadError as error:
            return self._refused(wanted, error)
        still = clock() - began
        try:
            still = max(still, await self._go_over(app, wanted))
        except _NotHere as error:
            modules.back()
            return Taken(wanted.number, "restart", str(error))
        except Exception as error:  # noqa: BLE001 (what a user's types and hooks may raise, told like a mistake at load)
            modules.back()
            self._forget_facts()
            return self._refused(wanted, error)
        took = clock() - began
        log.info("another version of the app runs", ms=round(took / 1e6, 1), still_ms=round(still / 1e6, 1))
        return Taken(wanted.number, "running", seconds=took / 1e9, still=still / 1e9)

    def _refused(self, wanted: Wanted, error: Exception) -> Taken:
        self.kept += 1
        log.warning("a version of the app was not taken over", error=str(error))
        if isinstance(error, LoadError):
            return Taken(wanted.number, "kept", error.message, error.file, error.line, error.cure)
        if isinstance(error, RimwardError):
            return Taken(wanted.number, "kept", str(error))
        return Taken(wanted.number, "kept", f"{type(error).__name__}: {error} at {place_of(error)}")

    async def _go_over(self, app: App, wanted: Wanted) -> int:
        """Make a version ready and have it take over; return the longest time, ns, that it held the loop.

        Raises:
            _NotHere: the process has to start anew for it.
            Exception: something of it is wrong.
        """
        node, dispatcher = self._node, self._node.dispatcher
        clock = node.clocks.monotonic
        if (why := why_restart(node.app, app, coap=node.speaks_coap)) is not None:
            raise _NotHere(why)
        settings = await asyncio.to_thread(read_settings, app, node.config)
        components = await components_for(app, node.config)
        began = clock()
        version = Version(app, settings, dispatcher.site, dispatcher.version)
        give_secrets(version.functions.values(), settings, os.environ, node.clocks)
        node.check_workers(app)
        still = clock() - began
        dispatcher.facts = dispatcher.facts | version.facts
        hooks = Hooks(version, dispatcher)
        await hooks.start()
        await node.placing.flush()
        placing = await placing_for(version, dispatcher, node.config, node.folder, node.clocks)
        began = clock()
        node.components = components
        self._swap(version, hooks, placing, wanted)
        return max(still, clock() - began)

    def _swap(self, version: Version, hooks: Hooks, placing: "Placing", wanted: Wanted) -> None:
        """Let it take over."""
        node, before = self._node, self._live[-1]
        if node.slot is not None:
            functions = [run.function for run in version.functions.values()]
            if not node.slot.turn(functions, version.streams, root_of(version)):
                raise _NotHere("it has more functions than there is room for")
        calls = node.dispatcher.in_flight()
        node.dispatcher.turn(version)
        old_hooks = node.turn(version, hooks, placing, wanted.digest)
        self._live.append(version)
        self.swaps += 1
        task = asyncio.get_running_loop().create_task(self._end(before, old_hooks, calls))
        self.ending.add(task)
        task.add_done_callback(self.ending.discard)

    async def _end(self, version: Version, hooks: Hooks, calls: "list[asyncio.Future[Any]]") -> None:
        """Stop a version once its calls have ended, and forget it."""
        if calls:
            await asyncio.wait(calls, timeout=FINISH)
        await hooks.stop()
        self._live.remove(version)
        del version, hooks
        calls.clear()
        self._forget_facts()
        forget_types()
        began = self._node.clocks.monotonic()
        found = gc.collect()  # what the platform imported is frozen and not looked at
        took = self._node.clocks.monotonic() - began
        log.info("a version of the app has ended", objects=found, still_ms=round(took / 1e6, 1))

    def _forget_facts(self) -> None:
        """Let calls forward the facts of those versions that have calls."""
        facts = [version.facts for version in self._live]
        self._node.dispatcher.facts = {type_: fact for each in facts for type_, fact in each.items()}

    async def close(self) -> None:
        """Leave the versions that still end."""
        for task in self.ending:
            task.cancel()
        await asyncio.gather(*self.ending, return_exceptions=True)
