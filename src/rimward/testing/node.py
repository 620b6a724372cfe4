"""The node of a Site: the real dispatcher, gateways and outbox file, on the Site's loop."""

import asyncio
import functools
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from rimward.app import App
from rimward.app.functions import EdgeFunction
from rimward.edge.access import Access
from rimward.edge.clock import plain_clock
from rimward.edge.commands.file import Boot
from rimward.edge.commands.hand import Hand
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Clocks, Dispatcher, FunctionRun, Tracing
from rimward.edge.gateways.coap import CoapGateway
from rimward.edge.gateways.http import HttpGateway
from rimward.edge.gateways.mqtt.gateway import MqttGateway
from rimward.edge.node import coap_of, doors_of
from rimward.events import Reject
from rimward.observe import Trace
from rimward.testing.clock import Clock, Loop
from rimward.testing.coap import Call
from rimward.testing.line import Line, Peer
from rimward.testing.outbox import SiteOutbox

if TYPE_CHECKING:
    from rimward.testing.caging import Caged

TRACES = 1000  # kept, newest
PRUNE = 64  # connections that are over and still listed


class TraceList:
    """Keeps the newest traces."""

    def __init__(self) -> None:
        self.kept: deque[Trace] = deque(maxlen=TRACES)

    def keep(self, trace: Trace) -> None:
        """Take a trace."""
        self.kept.append(trace)


class SiteNode:
    """One start of the node's process, from its files to its death."""

    def __init__(
        self,
        app: App,
        config: NodeConfig,
        clock: Clock,
        chance: random.Random,
        errors: list[BaseException],
        settings: Struct | None,
    ) -> None:
        """`errors` gets what functions raise, but for Reject; `settings` are the app's `config`."""
        self.loop: Loop = Loop(clock)
        self.clock = clock
        self._errors = errors
        self.traces: TraceList = TraceList()
        self.dies_at: str | None = None  # the moment at which the process is to die
        self.on_death: Callable[[], None] | None = None
        self._lines: list[Line] = []
        self._prune_at = PRUNE
        folder = Path(config.data) / "node"
        folder.mkdir(parents=True, exist_ok=True)
        self.outbox: SiteOutbox = SiteOutbox(folder, config.outbox, self.loop, self._pass)
        own = plain_clock(clock.wall, clock.monotonic, str(clock.wall() - clock.monotonic()))
        clocks = Clocks(clock.monotonic, clock.wall, own)
        tracing = Tracing(config.node, chance.randbytes(8), self.traces, lambda: str(self.outbox.epoch))
        self.dispatcher: Dispatcher = Dispatcher(
            app,
            config.node,
            clocks,
            self.outbox,
            tracing,
            settings=settings,
            streams=config.streams,
            states=config.states,
        )
        access = Access(None, clock.monotonic, believe=True)
        doors = doors_of(self.dispatcher, config, self.outbox, access)
        self.mqtt: MqttGateway = doors.mqtt
        self.http: HttpGateway = doors.http
        self.coap: CoapGateway = coap_of(self.dispatcher, config, self.outbox, self.mqtt.overload, access)
        self._callers: dict[Any, Call] = {}  # of CoAP, by address
        self.mqtt.begin(self.loop)
        self.http.begin(self.loop)
        self.coap.connect(self._sent, self.loop)
        self._cages: list[Caged] = []
        for run in self.dispatcher.functions.values():
            if run.function.component is not None:
                self._cages.append(_caged(app, run.function))
                run.call = self._cages[-1].call
            run.call = self._watched(run)
        self.boot: Boot = Boot("site", clock.monotonic)
        self.hand: Hand | None = None
        if app.cloud_functions or app.scheduled_functions:
            self.hand = Hand(folder, self.dispatcher, own, self.boot, damaged=False)
            self.outbox.commit()  # what a start writes is no commit of a message
        firing = self.dispatcher.firing
        for run, period in self.dispatcher.beats:
            self.loop.every(round(period * 1e9), functools.partial(self.dispatcher.beat, run))
        if firing.due is not None:
            self.loop.call_soon(firing.look)  # what was missed while it was off

    def connect(self, protocol: asyncio.Protocol, peer: Peer, outside: Loop) -> Line:
        """Open a connection to one of the gateways."""
        if len(self._lines) >= self._prune_at:  # each HTTP request has had one
            self._lines = [line for line in self._lines if not line.over]
            self._prune_at = 2 * len(self._lines) + PRUNE
        line = Line(protocol, peer, self.loop, outside)
        self._lines.append(line)
        return line

    def deliver(self, data: bytes, address: tuple[str, int], caller: Call) -> None:
        """Take a datagram in the next turn; what is sent to the address goes to the caller."""
        self._callers[address] = caller
        self.loop.call_soon(lambda: self.coap.datagrams.datagram(data, address))

    def _sent(self, data: bytes, address: Any) -> None:
        if (caller := self._callers.get(address)) is not None:
            self.loop.call_soon(lambda: caller.receive(data))

    @property
    def tasks(self) -> set[asyncio.Task[Any]]:
        """The async functions that still run."""
        return {task for task in self.dispatcher.waiting._tasks if not task.done()}

    @property
    def look_at(self) -> int | None:
        """Monotonic ns at which `look` has something to do; None is never."""
        due = [stream.keys.due() for stream in self.dispatcher.streams.values()]
        moments = [at for at in due if at is not None]
        if (due_at := self.coap.datagrams.endpoint.deadline) is not None:
            moments.append(due_at)
        if (deadline := self.mqtt.look_at) is not None:
            moments.append(round(deadline * 1e9))
        if self.hand is not None and (due := self.hand.due) is not None:
            moments.append(due)
        if (due := self.dispatcher.firing.due) is not None:
            moments.append(due)
        return min(moments, default=None)

    def look(self) -> None:
        """Do what a node does once a second."""
        self.mqtt.look()
        self.coap.look()
        self.dispatcher.feeder.advance()
        self.dispatcher.expire()
        self.dispatcher.firing.look()
        if self.hand is not None:
            self.hand.look()

    def _pass(self, moment: str) -> None:
        if moment == self.dies_at:
            self.kill()

    def kill(self) -> None:
        """Die now: nothing that is planned runs, nothing that waits is written, every connection is cut."""
        if not self.loop.alive:
            return
        self.loop.kill()
        for task in (*self.dispatcher.waiting._tasks, *self.http.tasks):
            task.cancel()
        for line in self._lines:
            line.cut()
        self.outbox.close()
        for cage in self._cages:
            cage.close()
        if self.on_death is not None:
            self.on_death()

    def _watched(self, run: FunctionRun) -> Callable[..., Any]:
        """Return the function with what it raises kept for the test."""
        call, errors = run.call, self._errors

        def watched(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except Reject:
                raise
            except Exception as error:
                errors.append(error)
                raise

        async def watched_async(*arguments: Any) -> Any:
            try:
                return await call(*arguments)
            except Reject:
                raise
            except Exception as error:
                errors.append(error)
                raise

        return functools.wraps(call)(watched_async if run.is_async else watched)


def _caged(app: App, function: EdgeFunction) -> "Caged":
    from rimward.testing.caging import Caged  # where there is one: wasmtime is large

    return Caged(app, function)
