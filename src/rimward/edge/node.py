"""The node's I/O process: gateways, dispatch and the outbox's writer around one app, on one loop."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from msgspec import Struct
from msgspec.structs import replace

from rimward.app import App
from rimward.app.triggers import Ws
from rimward.app.wasm import Component
from rimward.edge.access import Access, Watch, open_access
from rimward.edge.access.clock import TrustedClock
from rimward.edge.beats import Alarm, Beats, beat
from rimward.edge.clock import ShiftedWall, machine_clock
from rimward.edge.commands.file import Boot
from rimward.edge.commands.hand import Hand
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Clocks, Dispatcher, Tracing
from rimward.edge.dispatch.asked import Asked
from rimward.edge.dispatch.ports import OutboxPort
from rimward.edge.dispatch.version import Version
from rimward.edge.employing import check_workers, workers_of
from rimward.edge.functions.placing import Placing
from rimward.edge.functions.workers import Workers
from rimward.edge.gateways.admission import Load
from rimward.edge.gateways.http import HttpConfig, HttpGateway
from rimward.edge.gateways.listening.listening import Listening
from rimward.edge.gateways.mqtt.gateway import MqttGateway
from rimward.edge.gateways.overload import Overload
from rimward.edge.gateways.websocket.topics import BothWays
from rimward.edge.health import Health, problem_of
from rimward.edge.hooks import Hooks
from rimward.edge.keeping import Keeper
from rimward.edge.kernel import boot_id, boottime
from rimward.edge.outbox import Outbox
from rimward.edge.recording.recording import Doors as RecordedDoors
from rimward.edge.recording.recording import Recording
from rimward.edge.secrets import give_secrets
from rimward.edge.settings import LiveSettings, read_settings
from rimward.edge.shelf import Shelf
from rimward.edge.slot import Slot
from rimward.edge.versions.versions import Versions
from rimward.edge.watched import be_watched, placing_of
from rimward.observe import Recorder
from rimward.observe.faults import Faults

if TYPE_CHECKING:
    from rimward.edge.gateways.coap import CoapGateway


class Doors(NamedTuple):
    """Where devices and callers come in."""

    mqtt: MqttGateway
    http: HttpGateway


def doors_of(
    dispatcher: Dispatcher, config: NodeConfig, outbox: OutboxPort, access: Access | None = None
) -> Doors:
    """Put gateways before a dispatcher; they do not listen yet. Without `access` everybody is let in."""
    clocks, limits, runs = dispatcher.clocks, config.limits, dispatcher.functions.values()
    keeper = Keeper(outbox, clocks)
    access = access or Access(None, clocks.monotonic)
    mqtt = MqttGateway(
        dispatcher,
        clock=clocks.monotonic,
        config=replace(config.mqtt, max_packet_size=limits.payload_bytes, max_connections=limits.connections),
        priority=lambda topic: dispatcher.board.priority(topic),  # noqa: PLW0108 (of the board that is there then)
        fill=outbox.fill,
        disk=keeper,
        on_dead=keeper.bury,
        access=access,
    )
    dispatcher.router = mqtt
    load = Load(mqtt.overload, dispatcher.priority_of)
    http = HttpGateway(
        dispatcher,
        clock=clocks.monotonic,
        config=HttpConfig(
            hosts=config.http.hosts,
            origins=config.http.origins,
            credentials=config.http.credentials,
            rates=config.http.rates,
            max_body=limits.payload_bytes,
            max_message=limits.payload_bytes,
        ),
        on_dead=keeper.bury,
        wall=clocks.wall,
        access=access,
        shelf=Shelf(outbox),
        load=load,
        lane=Asked(dispatcher),
    )
    http.mqtt = mqtt.connection
    dispatcher.on_turn += [http.known.forget, mqtt.broker.table.forget_all]
    if any(isinstance(trigger := run.function.trigger, Ws) and trigger.topic for run in runs):
        dispatcher.router = BothWays(mqtt, http.topics)
    give_secrets(runs, dispatcher.settings, os.environ, clocks)
    return Doors(mqtt, http)


def coap_of(
    dispatcher: Dispatcher, config: NodeConfig, outbox: OutboxPort, overload: Overload, access: Access
) -> "CoapGateway":
    """Put a CoAP gateway before a dispatcher, as `doors_of` does with the others."""
    from rimward.edge.gateways.coap import CoapConfig, CoapGateway  # where CoAP is spoken: 30 modules
    from rimward.edge.gateways.coap.resources import links_of
    from rimward.protocols.coap import BlockLimits

    clocks = dispatcher.clocks
    coap = CoapGateway(
        dispatcher,
        clock=clocks.monotonic,
        config=CoapConfig(blocks=BlockLimits(body=config.limits.payload_bytes), rates=config.coap.rates),
        links=links_of(run.function for run in dispatcher.functions.values()),
        access=access,
        disk=Keeper(outbox, clocks),
        load=Load(overload, dispatcher.priority_of),
    )
    dispatcher.commands.routers["coap"] = coap

    def turn() -> None:
        coap.serving.links = links_of(run.function for run in dispatcher.functions.values())

    dispatcher.on_turn.append(turn)
    coap.serving.commanding.replies = dispatcher.commands
    return coap


class Node:
    """One node: `async with` opens its files, `serve` its doors."""

    dispatcher: Dispatcher
    outbox: Outbox
    mqtt: MqttGateway
    http: HttpGateway
    access: Access
    listening: Listening
    placing: Placing
    versions: Versions
    workers: Workers | None = None
    components: Mapping[Component, str]  # where those of the app are, compiled

    def __init__(self, app: App, config: NodeConfig) -> None:
        self.app: App = app
        self.config = config
        self.folder: Path = Path(config.data) / "node"
        self.components = {}
        self._wall = ShiftedWall(time.time_ns, Faults(Path(config.data)))
        self.clocks: Clocks = Clocks(time.monotonic_ns, self._wall)
        self.health: Health = Health(config, time.time_ns)
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: Watch | None = None
        self._placing_kept: asyncio.Task[None] | None = None
        self.slot: Slot | None = None  # where a supervisor sees which call runs
        self._coap: CoapGateway | None = None  # made with its first socket

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self.config
        self._wall.look()
        async with AsyncExitStack() as stack:
            recorder = Recorder(self.folder / "trace.db", self.health.snapshot, max_bytes=config.trace_bytes)
            await stack.enter_async_context(recorder)
            self._recorder = recorder
            self._now = TrustedClock(time.time_ns, self.folder / "clock")  # a fault must not outlast itself
            clock = machine_clock(self.clocks.wall, self.clocks.monotonic, self._now)
            outbox = Outbox(self.folder, config.outbox, self.clocks.wall, stamps=clock)
            await stack.enter_async_context(outbox)
            tracing = Tracing(config.node, os.urandom(8), recorder, lambda: str(outbox.epoch))
            self.clocks = replace(self.clocks, node=clock)
            dispatcher = Dispatcher(
                self.app,
                config.node,
                self.clocks,
                outbox,
                tracing,
                settings=read_settings(self.app, config),
                streams=config.streams,
                states=config.states,
            )
            dispatcher.firing.timers.limit = config.limits.timers
            damaged = bool(outbox.stats()["quarantined"])
            boot = Boot(boot_id(), boottime)
            self._hand = Hand(self.folder, dispatcher, clock, boot, damaged=damaged)
            self._open_access(dispatcher)
            stack.callback(self.access.close)
            self.mqtt, self.http = doors_of(dispatcher, config, outbox, self.access)
            self.dispatcher, self.outbox = dispatcher, outbox
            self.placing = await placing_of(dispatcher, config, self.folder, self.clocks)
            self.listening = Listening(
                config.listeners,
                config.accept,
                streams={
                    "mqtt": self.mqtt.connection,
                    "http": self.http.connection,
                    "coap+tcp": lambda: self.coap.connection(),  # noqa: PLW0108 (`self.coap` would make the gateway now)
                },
                datagrams={"coap": lambda sock: self.coap.serve(sock)},  # noqa: PLW0108 (as above)
                may_be_open=config.anonymous or bool(config.access),
                wall=self.clocks.wall,
            )
            gateways = {
                "mqtt": self.mqtt.stats,
                "http": self.http.stats,
                "coap": lambda: self._coap.stats() if self._coap is not None else {},
                "listening": self.listening.stats,
                "access": self.access.stats,
            }
            doors = RecordedDoors(self.mqtt, self.http)
            self._recording = Recording(self.app, dispatcher, doors, Path(config.data), config.recording)
            problems = {
                "listeners": self.listening.problem,
                "recording": self._recording.problem,
                "timers": dispatcher.firing.problem,
                "states": partial(problem_of, dispatcher),
                "settings": lambda: self.settings.problem(),  # noqa: PLW0108 (it is made below)
            }
            self.health.watch(dispatcher, outbox, gateways, recorder, problems)
            self.health.placing = self.placing
            self._hooks = Hooks(dispatcher.version, dispatcher)
            told = dispatcher.counters
            self.settings: LiveSettings = LiveSettings(config, lambda: self.app, self._configure, told)
            self._beats = Beats(lambda name: dispatcher.beat(dispatcher.functions[name]))
            self.versions = Versions(self)
            self.versions.begin()
            self._alarm = Alarm(lambda: dispatcher.firing.due, dispatcher.firing.look)
            self._stack = stack.pop_all()
        return self

    def _open_access(self, dispatcher: Dispatcher) -> None:
        """Read who may come in; what credentials are judged by never goes back (GUARANTEES §6)."""
        path = Path(self.config.access) if self.config.access else None
        functions = self.app.manifest().functions if path is not None else ()
        self.access, self._watch = open_access(path, functions, dispatcher.clocks.monotonic, self._now)

    @property
    def coap(self) -> "CoapGateway":
        """The CoAP gateway, made when it is first asked for: most nodes have none."""
        if self._coap is None:
            self._coap = coap_of(self.dispatcher, self.config, self.outbox, self.mqtt.overload, self.access)
        return self._coap

    async def serve(
        self, mqtt: socket.socket | None, http: socket.socket | None, coap: tuple[socket.socket, ...] = ()
    ) -> None:
        """Listen on the sockets given, for CoAP of datagrams and of connections, and start the beats."""
        for sock in coap:
            await self.coap.serve(sock)
        given = {"mqtt": mqtt, "http": http}
        await self.listen({name: sock for name, sock in given.items() if sock is not None})

    async def listen(self, sockets: Mapping[str, socket.socket]) -> None:
        """Open the listeners, on the sockets that were bound for them by name, and start the beats.

        Raises:
            ListenerError: an address or a certificate can't be used, or anyone could come in from outside.
            HookFailed: a hook of the app says no; nobody was let in.
        """
        await self._hooks.start()
        self.mqtt.open()
        self.http.open()
        configs = self.config.listeners
        spoken = {configs[name].protocol if name in configs else name for name in (*configs, *sockets)}
        if not spoken.isdisjoint({"coap", "coap+tcp"}):
            self.coap.open()
        await self.listening.open(sockets)
        self._recorder.tell()  # its first was taken before there was a gateway
        self._spawn(self._wall.follow())
        self._beat(1.0, self.dispatcher.feeder.advance)
        self._beat(1.0, self.dispatcher.follow_wall_clock)
        self._beat(1.0, self.dispatcher.expire)
        self._spawn(self._hand.run())
        self._keep_placing()
        self._spawn(self._recording.follow())
        self._spawn(self.settings.follow())
        if self._watch is not None:
            self._spawn(self._watch.follow())
        self.dispatcher.firing.wake = self._alarm.set
        self._beat(1.0, self._alarm.ring)
        self._alarm.ring()  # what was missed while the node was off
        self._follow_beats()

    async def be_watched(self) -> None:
        """Let a supervisor watch over the calls; it takes signals, so only the process's own node does."""
        self.slot = await be_watched(self.dispatcher, self.config, self.folder)

    def employ(self, listener: socket.socket | None) -> None:
        """Have functions run in processes of their own; their zygote connects to the socket given.

        Raises:
            LoadError: there is none, and a function needs it.
        """
        components = self.components
        self.workers = workers_of(self.app, self.config, self.dispatcher, listener, os.environ, components)
        if self.workers is not None:
            self._stack.callback(self.workers.close)
            self.health.workers = self.workers
            self._beat(1.0, self.workers.tick)

    async def reload(self) -> None:
        """Read again what may change while devices are connected; no connection is dropped."""
        await self.versions.look()
        await self.settings.look()
        await self.listening.reload()
        if self._watch is not None:
            self._watch.soon()

    def _configure(self, settings: Struct | None) -> bool:
        """Have functions see other settings from the next call on; False: they are the same.

        Raises:
            LoadError: a secret that a function needs is not among them.
        """
        dispatcher = self.dispatcher
        if settings == dispatcher.settings:
            return False
        give_secrets(dispatcher.functions.values(), settings, os.environ, self.clocks)
        dispatcher.configure(settings)
        if self.workers is not None:
            self.workers.configure(settings)
        return True

    def check_workers(self, app: App) -> None:
        """Tell whether another version of the app can run here.

        Raises:
            LoadError: a function needs a worker, and no zygote is to come, or they are configured otherwise.
        """
        if self.workers is not None:
            self.workers.check(app)
        else:
            check_workers(app)

    def turn(self, version: Version, hooks: Hooks, placing: Placing, digest: str) -> Hooks:
        """Take over what belongs to the version that the dispatcher runs now; return the hooks before."""
        self.app, self.health.digest = version.app, digest
        before, self._hooks = self._hooks, hooks
        if self.workers is not None:
            self.workers.turn(version.app, version.settings, self.components)
        self.placing = self.health.placing = self.dispatcher.conduct = placing
        placing.start()
        self._keep_placing()
        self._follow_beats()
        if self._watch is not None:
            self._watch.turn(version.app.manifest().functions)
        if (rest := self._recording.turn(version.app)) is not None:
            self._spawn(rest)
        return before

    @property
    def speaks_coap(self) -> bool:
        """Whether there is a CoAP gateway."""
        return self._coap is not None

    def _follow_beats(self) -> None:
        self._beats.follow({run.name: period for run, period in self.dispatcher.beats})

    def _keep_placing(self) -> None:
        if self._placing_kept is not None:
            self._placing_kept.cancel()
        self._placing_kept = self._spawn(self.placing.keep())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _beat(self, period: float, action: Callable[[], None]) -> None:
        self._spawn(beat(period, action))

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, finish the calls in flight, flush the log, close the files."""
        self._alarm.close()
        await self._beats.close()
        await self.versions.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.listening.close()
        await self._hooks.stop()
        doors = [self.http] if self._coap is None else [self.http, self._coap]
        await asyncio.gather(*(door.close(self.config.drain) for door in doors))
        await self.dispatcher.waiting.close(self.config.drain)
        if self.dispatcher.away is not None:
            await self.dispatcher.away.close(self.config.drain)
        await self.mqtt.close(self.config.drain)
        await self._recording.close()
        await self._stack.aclose()
