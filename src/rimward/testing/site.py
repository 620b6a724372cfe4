"""Site: node, hub and the link between them in memory, on the real code, for tests.

Real are the dispatcher, the outbox's file, the uplink, envelopes, ingest and its Delta tables, cloud
functions, and the gateways with their sessions. Not there are sockets, threads, processes and waiting:
connections are objects, and time stands still until the test moves it (docs/adr/0028).
"""

import asyncio
import datetime as dt
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from msgspec import Struct

from rimward.app import App, Lake
from rimward.app.settings import settings_of
from rimward.edge.config import NodeConfig, OutboxConfig
from rimward.edge.outbox import DeadLetter
from rimward.events import Duration, from_ns, nanoseconds, to_ns
from rimward.observe import Trace
from rimward.testing.clock import Clock, Loop, whole_seconds
from rimward.testing.cloud import has_cloud, need_cloud
from rimward.testing.coap import Coap
from rimward.testing.device import Device, Identity, Version
from rimward.testing.errors import SiteClosed
from rimward.testing.folder import temporary
from rimward.testing.http import Http
from rimward.testing.inbox import Inbox
from rimward.testing.ledger import Ledger, ledger_of
from rimward.testing.line import Line, Peer
from rimward.testing.link import Deliver, Sender, Uplink
from rimward.testing.node import SiteNode
from rimward.testing.telling import Inside, tell
from rimward.testing.unit import START

if TYPE_CHECKING:
    from rimward.cloud.commands.desk import CommandState
    from rimward.testing.hub import SiteHub
    from rimward.testing.socket import Socket

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

NODE = "node-1"
TURNS = 16  # of the real loop that async functions get at each step of the clock
LIVE: list["Site"] = []  # Sites that are open, oldest first


class Site:
    """One app on a node and a hub of its own: `async with Site(app) as site`."""

    def __init__(
        self,
        app: App,
        *,
        config: Struct | None = None,
        seed: int = 0,
        start: dt.datetime = START,
        data: Path | None = None,
        outbox_bytes: int = 1 << 30,
    ) -> None:
        """Describe it; nothing starts yet.

        Args:
            app: the app, as a test imports it.
            config: the app's settings, of the type of its `config`; by default that type's defaults.
            seed: of everything that is left to chance: a flaky uplink, ids.
            start: the first moment of its clock.
            data: a folder that is kept, laid out as `rimward dev --data` does; else a temporary one.
            outbox_bytes: what the outbox may hold before it is full.
        """
        self.app: App = app
        self.clock: Clock = Clock(to_ns(start))
        self.outside: Loop = Loop(self.clock)
        self.uplink: Uplink = Uplink(random.Random(seed))  # noqa: S311 (repeatable faults, nothing secret) (repeatable, not secret)
        self._chance = random.Random(seed + 1)  # noqa: S311
        self._settings = settings_of(app, None, {}) if config is None else config
        self._data = data
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._outbox = OutboxConfig(max_bytes=outbox_bytes)
        self._errors: list[BaseException] = []
        self._orphans: set[asyncio.Task[Any]] = set()
        self._inboxes = 0
        self._node: SiteNode | None = None
        self._sender: Sender | None = None
        self._hub: SiteHub | None = None
        self.http: Http = Http(self)
        self.coap: Coap = Coap(self)

    # -- its life

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        node = self._node
        if error is not None and node is not None:
            self.tell(error)
        self.close()
        if node is not None and (tasks := node.dispatcher.waiting._tasks | node.http.tasks | self._orphans):
            await asyncio.wait(tasks)

    def open(self) -> None:
        """Start the node; `async with` does it.

        Raises:
            SiteClosed: it was open before.
        """
        if not self.outside.alive:
            raise SiteClosed("a Site is opened once: make another")
        self.app.check()
        self._temporary = None if self._data is not None else temporary("site")
        folder = self._data if self._temporary is None else Path(self._temporary.name)
        assert folder is not None
        self.folder: Path = folder
        self._config = NodeConfig(app=self.app.name, data=str(folder), node=NODE, outbox=self._outbox)
        try:
            self._start()
        except BaseException:
            self._delete()
            raise
        LIVE.append(self)
        if self.app.scheduled_functions and has_cloud():
            self._the_hub().keep_time(self.outside)

    def close(self) -> None:
        """Stop everything and delete the temporary folder; `async with` does it."""
        if self._node is None:
            return
        LIVE.remove(self)
        self._node.on_death = None
        self._node.kill()
        self._node = None
        self.outside.kill()
        if self._sender is not None:
            self._sender.close()
        if self._hub is not None:
            self._hub.close()
        self._delete()

    def _delete(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()

    def tell(self, error: BaseException) -> None:
        """Add to an error what has gone wrong inside, the ledger and the last traces, if there are some."""
        tell(error, Inside(self.app.name, self._errors, self))

    def _start(self) -> None:
        self._sender = None
        self._node = SiteNode(self.app, self._config, self.clock, self._chance, self._errors, self._settings)
        self._node.on_death = self._restart

    def _restart(self) -> None:
        assert self._node is not None
        self._orphans |= self._node.tasks
        if self._sender is not None:
            self._sender.close()
        self._start()

    @property
    def node(self) -> SiteNode:
        """The running node's parts."""
        if self._node is None:
            raise SiteClosed("the Site is closed: use it inside 'async with Site(app) as site'")
        return self._node

    # -- devices and callers

    def device(
        self,
        id: str,  # noqa: A002 (the contract's name)
        *,
        protocol: Version = "mqtt5",
        user: str | None = None,
        keep_alive: Duration | None = None,
        session: Duration | None = None,
    ) -> Device:
        """Return an MQTT device, connected; `keep_alive` is how often it says that it lives, none by default.

        `session` is how long its session outlives a connection and gathers what comes at QoS 1.

        Raises:
            Refused: the node does not accept it.
        """
        self.node  # noqa: B018 (raises where closed)
        every, lasting = whole_seconds(keep_alive), whole_seconds(session)
        device = Device(self, Identity(id, protocol, user, every, session=lasting))
        device.connect()
        return device

    @overload
    def inbox(self, topic_filter: str) -> Inbox[Any]: ...
    @overload
    def inbox(self, topic_filter: str, type_: type[T]) -> Inbox[T]: ...
    def inbox(self, topic_filter: str, type_: Any = Any) -> Inbox[Any]:
        """Return what arrives from now on under a topic filter, as a subscriber of its own gets it."""
        self._inboxes += 1
        return self.device(f"inbox-{self._inboxes}").subscribe(topic_filter, type_)

    def open_mqtt(self, peer: Peer) -> Line:
        """Open a connection to the node's MQTT gateway."""
        return self.node.connect(self.node.mqtt.connection(), peer, self.outside)

    def open_http(self, peer: Peer) -> Line:
        """Open a connection to the node's HTTP gateway."""
        self.node.http.look()
        return self.node.connect(self.node.http.connection(), peer, self.outside)

    async def socket(self, path: str, headers: Mapping[str, str] | None = None) -> "Socket":
        """Open a WebSocket at a path; `testing.socket.Refused` has the answer of a node that does not."""
        from rimward.testing.socket import open_socket

        return await open_socket(self, path, headers or {})

    # -- steps

    async def until(self, done: Callable[[], bool]) -> None:
        """Run until it is done, or until nothing moves and no async function is left."""
        while True:
            self.clock.run()
            if done():
                return
            if not (tasks := self.node.tasks):
                break
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(TURNS if self.node.http.tasks else 0):  # streams of replies may have no end
            await asyncio.sleep(0)
            self.clock.run()
            if done():
                return

    async def settle(self) -> None:
        """Run until nothing moves.

        Async functions end, what waits in the outbox goes to the lake if the uplink is up, and cloud
        functions run on the rows that were committed. Time stands still.
        """
        while True:
            await self.until(lambda: False)
            self.node.outbox.commit()
            self.clock.run()
            if not self._upload():
                return

    def _upload(self) -> bool:
        if not self.uplink.is_up or not has_cloud() or not self.app.facts:
            return False
        if self._sender is None:
            self._sender = Sender(self._config, self.clock, self.uplink, self._chance.randbytes(4).hex())
        return self._exchange(self._sender.drain)

    def _exchange(self, exchange: Callable[[Deliver], bool]) -> bool:
        """Let envelopes reach the hub, and the hub work on them."""
        sender, hub = self._sender, self._the_hub()
        assert sender is not None
        moved = exchange(hub.take)
        if moved or hub.due:
            hub.work()
            self.node.outbox.forget_by(sender.book.marks.values())
        if (hand := self.node.hand) is not None:
            moved |= sender.ask(self.node.boot, lambda wanted: hub.answer(NODE, wanted))
            moved |= hand.look()
        return moved

    async def advance(self, duration: Duration) -> None:
        """Move the clock, and run what comes due on the way at its time."""
        await self.advance_to(self.clock.monotonic() + nanoseconds(duration))

    async def advance_to(self, end: int) -> None:
        """Move the clock to a monotonic time, ns, as `advance` does."""
        while True:
            await self.breathe()
            lands_at = None if self._sender is None else self._sender.lands_at
            due = (self.clock.next_at, self.node.look_at, lands_at)
            moments = [at for at in due if at is not None and at <= end]
            self.clock.move(max(min(moments, default=end), self.clock.monotonic()))
            if not moments:
                break
            if self._sender is not None and lands_at is not None and lands_at <= self.clock.monotonic():
                self._exchange(self._sender.land)
            look_at = self.node.look_at
            if look_at is not None and look_at <= self.clock.monotonic():
                self.node.look()
        self.node.look()
        await self.breathe()

    async def breathe(self) -> None:
        """Give async functions some turns; those that wait for the clock can't end yet."""
        self.clock.run()
        for _ in range(TURNS if self.node.tasks else 0):
            await asyncio.sleep(0)
            self.clock.run()

    async def kill9(self) -> None:
        """Kill the node's process and start it again on what it had committed.

        State in memory, unwritten values, async functions and connections are gone; a new epoch begins.
        Devices connect again by themselves.
        """
        self.node.kill()
        await self._after_death()

    def kill9_at(self, moment: str) -> None:
        """Let the node be killed at its next "before-commit" or "after-commit", then start again.

        After a commit, what it wrote is on disk and nobody has heard of it: no answer has left.

        Raises:
            ValueError: there is no such moment.
        """
        if moment not in {"before-commit", "after-commit"}:
            raise ValueError(f"kill9_at: {moment!r} is not before-commit or after-commit")
        self.node.dies_at = moment

    async def _after_death(self) -> None:
        self.clock.run()
        orphans, self._orphans = self._orphans, set()
        if orphans:
            await asyncio.wait(orphans)

    # -- what it came to

    @property
    def now(self) -> dt.datetime:
        """The Site's clock."""
        return from_ns(self.clock.wall())

    @property
    def ledger(self) -> Ledger:
        """Where every forwarded row is at this moment."""
        return ledger_of(self.folder, self.app)

    def rows(self, fact: type[S]) -> list[S]:
        """Return a fact's rows in the lake, in the order in which they were forwarded.

        Raises:
            CloudMissing: the cloud extra is not installed.
            TypeError: the type is not a fact of the app.
        """
        declared = self.app.facts.get(fact)
        if declared is None:
            raise TypeError(f"site.rows: {fact.__name__} is not a fact; declare it with @app.fact")
        return self._the_hub().rows(declared)

    @property
    def lake(self) -> Lake:
        """The lake, as cloud functions get it.

        Raises:
            CloudMissing: the cloud extra is not installed.
        """
        self._the_hub()
        from rimward.cloud.lake.view import LocalLake

        return LocalLake(self.folder / "lake", self.clock.wall(), self.app.facts)

    @property
    def errors(self) -> list[BaseException]:
        """What functions have raised, at the edge and in the cloud, but for Reject."""
        return list(self._errors)

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """Events that could not be worked on and why, the node's and then the cloud functions'."""
        return self.node.outbox.dead_letters() + (self._hub.dead_letters() if self._hub else [])

    @property
    def commands(self) -> list["CommandState"]:
        """The commands that cloud functions gave, and what became of them."""
        return self._the_hub().commands()

    @property
    def traces(self) -> list[Trace]:
        """The traces that the node's present start has kept."""
        return list(self.node.traces.kept)

    def _the_hub(self) -> "SiteHub":
        if self._hub is None:
            self.node  # noqa: B018 (raises where the Site is closed)
            need_cloud()
            from rimward.testing.hub import SiteHub

            self._hub = SiteHub(self.app, self.folder, self._settings, self.clock.wall, self._errors.append)
        return self._hub
