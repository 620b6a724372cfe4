"""The node's second look at commands from the cloud: the file, the hub's time, and the executor."""

import asyncio
from pathlib import Path

from rimward.edge.clock import NodeClock
from rimward.edge.commands.executor import Executor
from rimward.edge.commands.file import Boot, CommandReader
from rimward.edge.dispatch import Dispatcher

LOOK = 1.0  # seconds between two looks


class Hand:
    """Carries out what the deep process has put into the node's folder."""

    def __init__(
        self, folder: Path, dispatcher: Dispatcher, clock: NodeClock, boot: Boot, *, damaged: bool
    ) -> None:
        """`clock` is the node's own, believed only where something keeps it right."""
        self._reader = CommandReader(folder)
        self._clock = clock
        self._boot = boot
        self.executor: Executor = Executor(
            dispatcher.commands, dispatcher.outbox, dispatcher.clocks, dispatcher.counters, damaged=damaged
        )

    async def run(self) -> None:
        """Look once a second."""
        while True:
            await asyncio.sleep(LOOK)
            self._act(changed=await asyncio.to_thread(self._reader.look))

    def look(self) -> bool:
        """Read what is new, do what can be done, and return whether anything was."""
        return self._act(changed=self._reader.look())

    @property
    def due(self) -> int | None:
        """When something is to be done by the clock alone, monotonic ns; None: nothing."""
        return self.executor.due(self.hub_time())

    def _act(self, *, changed: bool) -> bool:
        if changed:
            self.executor.offer(self._reader.commands)
        return self.executor.look(self.hub_time())

    def hub_time(self) -> int | None:
        """Return the hub's wall clock, ns; None where nobody here knows it until the hub is heard again."""
        heard = self._reader.heard
        if heard.boot == self._boot.id:
            return self._boot.now() + heard.ahead
        stamp = self._clock.stamp()
        if stamp.quality == "unsynced" or not stamp.believed:
            return None
        return stamp.offset + self._boot.now() - stamp.asleep
