"""The HTTP gateway of a node: it listens, keeps the connections within their limits and counts.

Functions serve the routes (RFC 9110, 9112); what they refuse is told as problem+json (RFC 9457). It does no
TLS, no HTTP/2, no files. A WebSocket begins here and goes on in `edge.gateways.websocket`.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Protocol

from rimward.edge.access import Access
from rimward.edge.dispatch.types import AskDoor, Door, Reply, Sender
from rimward.edge.gateways.admission import Admission, Load
from rimward.edge.gateways.descriptors import allowed
from rimward.edge.gateways.http.asking import Asker
from rimward.edge.gateways.http.config import HttpConfig
from rimward.edge.gateways.http.connection import Connection
from rimward.edge.gateways.http.cors import Cors
from rimward.edge.gateways.http.finishing import Finisher
from rimward.edge.gateways.http.guard import Guard
from rimward.edge.gateways.http.keys import Keys, KeyShelf
from rimward.edge.gateways.http.known import KnownHeads
from rimward.edge.gateways.http.problems import problem_reply
from rimward.edge.gateways.turns import Turns
from rimward.edge.gateways.websocket.topics import Topics
from rimward.protocols.http import HttpRequest, Limits

SHARE = 0.125  # of the process's file descriptors that callers may take
SWEEP = 1.0  # seconds between two looks at the deadlines
_WRITES = 256  # connections with output beyond which it is written before the loop's turn is over
_STREAMS = ("streams_refused", "identities_ended")
_SOCKETS = (
    "sockets_refused",
    "socket_messages",
    "socket_refusals",
    "socket_actions_dropped",
    "socket_answers_dropped",
)
OnDead = Callable[[str, str, Sender, str, bytes], object]  # reason, detail, sender, path, first bytes


class Open(Protocol):
    """An open connection: one of HTTP, or what it has become."""

    @property
    def busy(self) -> bool:
        """Whether answers are owed."""
        ...

    def drain(self) -> None:
        """Take nothing more, end when what is owed is answered."""
        ...

    def abort(self) -> None:
        """Cut it off."""
        ...

    def check(self, now: int) -> None:
        """Enforce the deadlines."""
        ...

    def renew(self, access: Access) -> None:
        """End what its identity may not go on with."""
        ...


class HttpGateway:
    """Serves HTTP from a bound socket through the door."""

    loop: Turns

    def __init__(  # noqa: PLR0913 (the node wires every seam by name)
        self,
        door: Door,
        *,
        clock: Callable[[], int],
        config: HttpConfig,
        on_dead: OnDead,
        wall: Callable[[], int] | None = None,
        shelf: KeyShelf | None = None,
        access: Access | None = None,
        load: Load = Load(),  # noqa: B008 (it is frozen)
        lane: AskDoor | None = None,
    ) -> None:
        """`clock` is monotonic ns, `wall` ns since the epoch.

        Without a wall clock answers carry no Date [RFC 9110 §6.6.1]; without a shelf no idempotency key is
        honoured; without `access` everybody may call; without `lane` all requests go to the door.
        """
        self.door = door
        self.clock = clock
        self.config = config
        self.on_dead = on_dead
        self.limits: Limits = config.session_limits()
        self.access: Access = access or Access(None, clock)
        self.access.changed.append(self.renew)
        self.guard: Guard = Guard(config.hosts, config.origins)
        self.cors: Cors = Cors(config)
        self.finisher: Finisher = Finisher(config)
        self.asker: Asker = Asker(door, config, clock, Keys(config, shelf, wall or clock))
        short_way = None if config.rates.limits else lane  # which asks for no rate
        self.known: KnownHeads = KnownHeads(short_way, config.known_heads)
        self.unwritten: list[Connection] = []  # whose output is written when the loop's turn is over
        self.write_timeout: int = round(config.write_timeout * 1e9)  # ns
        self.heartbeat: int = round(config.heartbeat * 1e9)  # ns
        self.streams: int = 0  # answers in pieces that are open, or wait for their turn
        self.tasks: set[asyncio.Task[None]] = set()  # of answers in pieces
        self.date = b""
        self.requests = 0
        self.bytes_in = 0
        self.bytes_out = 0
        names = (
            "accepted",
            "over_limit",
            "refused",
            "denied",
            "timeouts",
            "streams_refused",
            "identities_ended",
            *_SOCKETS,
        )
        self.counters: dict[str, int] = dict.fromkeys((*names, "slow_readers", "slow_readers_cut"), 0)
        self.admission: Admission = Admission(
            config.rates, load, self.counters, clock() * 1e-9, largest=config.max_body
        )
        self._statuses = [0] * 6  # answers by the status's first digit
        self._wall = wall
        self.topics: Topics = Topics()  # whose actions sockets are told
        self.mqtt: Callable[[], asyncio.Protocol] | None = None  # makes MQTT connections, for /mqtt
        self.sockets: int = 0  # that are open
        self._connections: set[Open] = set()
        self._carriers: set[Open] = set()  # sockets that carry MQTT, whose gateway says goodbye to them
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._max_connections = config.max_connections

    def begin(self, loop: Turns) -> None:
        """Take up what is kept; from now on answers are written when a turn of the loop is over."""
        self.loop = loop
        self.asker.keys.load()
        self.look()

    def open(self) -> None:
        """Take connections, which `connection` makes the protocol of."""
        loop = asyncio.get_running_loop()
        self._max_connections = allowed(self.config.max_connections, SHARE)
        self.begin(loop)
        self._sweep = loop.call_later(SWEEP, self._look_again, loop)

    def connection(self) -> Connection:
        """Return the protocol of one more connection, over whatever transport."""
        return Connection(self)

    async def serve(self, sock: socket.socket) -> None:
        """Open, and listen on a bound socket."""
        self.open()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connection, sock=sock, backlog=1024)

    async def close(self, drain: float) -> None:
        """Stop listening and wait up to `drain` seconds for the answers that are owed."""
        if self._server is not None:
            self._server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._connections):
            connection.drain()
        await self._until_empty(drain)
        for connection in list(self._connections):
            connection.abort()
        await self._until_empty(SWEEP)

    def stats(self) -> dict[str, int]:
        """Return what the gateway has counted."""
        classes = {f"status_{digit}xx": self._statuses[digit] for digit in range(2, 6)}
        return {
            "connections": len(self._connections) + len(self._carriers),
            "busy": sum(connection.busy for connection in self._connections),
            "requests": self.requests,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "streams": self.streams,
            "sockets": self.sockets,
            "keys": len(self.asker.keys),
            "heads_forgotten": self.known.forgotten,
            "failed": self.asker.failed,
            **self.asker.keys.counters,
            **self.counters,
            **classes,
        }

    # -- for connections

    def joined(self, connection: Connection) -> None:
        """Count a connection in, or refuse it."""
        self.counters["accepted"] += 1
        full = len(self._connections) + len(self._carriers) >= self._max_connections
        self._connections.add(connection)
        if full:
            self.counters["over_limit"] += 1
            connection.refuse()

    def left(self, connection: Open) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._carriers.discard(connection)
        self.sockets -= not isinstance(connection, Connection)
        if not self._connections:
            self._empty.set()

    def count_status(self, status: int) -> None:
        """Count an answer."""
        self._statuses[status // 100] += 1

    def write_later(self, connection: Connection) -> None:
        """Write a connection's output when the loop's turn is over, with that of the others."""
        unwritten = self.unwritten
        unwritten.append(connection)
        if len(unwritten) == 1:
            self.loop.call_soon(self.flush)
        elif len(unwritten) >= _WRITES:
            self.flush()

    def flush(self) -> None:
        """Write what the turn has put out."""
        unwritten, self.unwritten = self.unwritten, []
        for connection in unwritten:
            connection.write_out()

    def upgrade(self, connection: Connection, request: HttpRequest, now: int) -> bool:
        """Take up a request's wish to go on as WebSocket; False where it is answered as HTTP."""
        from rimward.edge.gateways.websocket.opening import Way, open_socket, wanted_of

        way = Way(self.door, self.topics, self.mqtt)
        wanted = wanted_of(request, way)
        if wanted is None:
            return False
        if isinstance(wanted, Reply):
            self.counters["sockets_refused"] += 1
            connection.answer(request, wanted, now)
            return True
        arrival = connection.leave_http(request)
        if arrival is None:
            refusal = problem_reply(400, "a WebSocket opens when earlier requests are answered", "invalid")
            connection.answer(request, refusal, now)
            return True
        given, rest = arrival
        socket = open_socket(self, way, given, wanted)
        self._connections.discard(connection)
        (self._carriers if wanted.mqtt else self._connections).add(socket)
        self.sockets += 1
        self.count_status(101)
        if rest:
            socket.data_received(rest)
        return True

    # -- own

    def renew(self) -> None:
        """Hold sockets and streams to the access file as it is now; requests are asked each time."""
        for connection in list(self._connections):
            connection.renew(self.access)

    def look(self) -> None:
        """Tell the time anew and check the connections' deadlines."""
        if self._wall is not None:
            self.date: bytes = f"date: {_date(self._wall() // 1_000_000_000)}\r\n".encode("ascii")
            self.known.tell_time(self.date)
        self.asker.keys.expire()
        now = self.clock()
        for connection in (*self._connections, *self._carriers):
            connection.check(now)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = loop.call_later(SWEEP, self._look_again, loop)
        self.look()

    async def _until_empty(self, seconds: float) -> None:
        if not self._connections:
            return
        self._empty.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _date(seconds: int) -> str:
    """Return a time since the epoch as HTTP writes it [9110: 5.6.7]; email.utils takes 5 ms to import."""
    at = time.gmtime(seconds)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{day}, {at.tm_mday:02} {month} {at.tm_year:04} {clock} GMT"
