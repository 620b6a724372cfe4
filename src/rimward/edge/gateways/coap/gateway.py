"""The CoAP gateway of a node: it listens, keeps its peers within their limits, drains and counts."""

import asyncio
import os
import random
import socket
from collections.abc import Callable
from typing import Any

from rimward.edge.access import Access
from rimward.edge.dispatch.types import Watched
from rimward.edge.gateways.admission import Admission, Load
from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.coap.connection import Connection
from rimward.edge.gateways.coap.datagrams import Datagrams
from rimward.edge.gateways.coap.security import Security
from rimward.edge.gateways.coap.sequences import Disk
from rimward.edge.gateways.coap.serving import Serving
from rimward.edge.gateways.coap.trust import Trust
from rimward.edge.gateways.descriptors import allowed
from rimward.edge.gateways.turns import Turns
from rimward.protocols.coap import Endpoint, Link, dotted

SHARE = 0.125  # of the process's file descriptors that connections may take
SWEEP = 1.0  # seconds between two looks at the deadlines of connections
GLANCE = 0.01  # seconds between two looks at what is still owed while it drains
_SECOND = 1_000_000_000


class CoapGateway:
    """Serves CoAP from bound sockets, UDP and TCP, through the door."""

    def __init__(  # noqa: PLR0913 (the node wires every seam by name)
        self,
        door: Watched,
        *,
        clock: Callable[[], int],
        config: CoapConfig,
        links: list[Link] | None = None,
        access: Access | None = None,
        disk: Disk | None = None,
        chance: Callable[[], float] = random.random,
        load: Load = Load(),  # noqa: B008 (it is frozen)
    ) -> None:
        """`clock` is monotonic ns; `links` is what `/.well-known/core` tells; `chance` gives 0 to 1.

        Without `access` everybody may do everything; without a `disk` nobody may come by OSCORE.
        """
        self.clock = clock
        self.config = config
        self.trust: Trust = Trust(config, os.urandom(32))
        security = Security(access or Access(None, clock), self.trust, disk, clock)
        self.serving: Serving = Serving(door, config, security, links or [])
        self.serving.admission = Admission(
            config.rates, load, self.serving.counters, clock() * 1e-9, largest=config.max_message
        )
        self.counters: dict[str, int] = dict.fromkeys(
            ("accepted", "over_limit", "aborted", "timeouts", "slow_readers", "slow_readers_cut",
             "stream_requests", "bytes_in", "bytes_out", "socket_errors"), 0
        )  # fmt: skip
        self.write_timeout: int = round(config.write_timeout * _SECOND)  # ns
        self.idle_timeout: int = round(config.idle_timeout * _SECOND)  # ns
        self.linger: int = round(config.linger * _SECOND)  # ns
        self.datagrams: Datagrams = Datagrams(self, Endpoint(config.timing, config.bounds, chance))
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._max_connections = config.max_connections

    def begin(self, loop: Turns) -> None:
        """From now on notifications are made when a turn of the loop is over."""
        self.serving.observing.loop = loop

    def connect(self, send: Callable[[bytes, Any], object], loop: Turns) -> None:
        """Send datagrams this way, where there is no socket; they come in by `datagrams.datagram`."""
        self.begin(loop)
        self.datagrams.connect(send)

    def open(self) -> None:
        """Get ready for what comes in, whoever listens for it."""
        loop = asyncio.get_running_loop()
        self.begin(loop)
        self._max_connections = allowed(self.config.max_connections, SHARE)
        if self._sweep is None:
            self._sweep = loop.call_later(SWEEP, self._look_again, loop)

    def connection(self) -> Connection:
        """Return a protocol for one connection."""
        return Connection(self)

    async def serve(self, sock: socket.socket) -> None:
        """Serve from a bound socket: datagrams, or connections."""
        loop = asyncio.get_running_loop()
        self.open()
        if sock.type == socket.SOCK_DGRAM:
            self.datagrams.listen(sock, loop)
        else:
            self._servers.append(await loop.create_server(self.connection, sock=sock, backlog=1024))

    async def close(self, drain: float) -> None:
        """Take nothing new, and wait up to `drain` seconds for the answers that are owed."""
        self.serving.draining = True
        self.serving.observing.stop()
        for server in self._servers:
            server.close()
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._connections):
            connection.drain()
        await self._until(lambda: not self.datagrams.busy and not self._connections, drain)
        self.datagrams.close()
        for connection in list(self._connections):
            connection.abort()
        await self._until(lambda: not self._connections, SWEEP)

    def command(self, device: str, name: str, payload: bytes, number: str) -> str | None:
        """Send a command to one device; return why it can't take it. Never blocks."""
        return self.serving.commanding.command(self.datagrams.endpoint, device, name, payload, number)

    def reaches(self, device: str, name: str) -> str | None:
        """Return why a device can't take such a command now, None where it can."""
        return self.serving.commanding.reaches(device, name)

    def stats(self) -> dict[str, int]:
        """Return what the gateway has counted."""
        endpoint, serving = self.datagrams.endpoint, self.serving
        return {
            "connections": len(self._connections),
            "busy": endpoint.pending + sum(connection.busy for connection in self._connections),
            "observers": len(serving.observing.observers),
            "remembered": endpoint.remembered,
            "unsent_datagrams": self.datagrams.unsent,
            **endpoint.counters,
            **endpoint.sending.counters,
            **self.counters,
            **serving.counters,
            **serving.security.counters,
            **serving.commanding.counters,
            **serving.assemblies.counters,
            **serving.cutter.counters,
            **{f"observe_{name}": count for name, count in serving.observing.observers.counters.items()},
            **{f"code_{dotted(code)}": count for code, count in sorted(serving.codes.items())},
        }

    # -- for connections

    def joined(self, connection: Connection) -> None:
        """Count a connection in, or refuse it."""
        self.counters["accepted"] += 1
        full = len(self._connections) >= self._max_connections
        self._connections.add(connection)
        if full:
            self.counters["over_limit"] += 1
            connection.refuse()

    def left(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self.serving.observing.leave(connection)

    # -- own

    def look(self) -> None:
        """Look at all deadlines."""
        now = self.clock()
        self.datagrams.look()
        self.datagrams.endpoint.forget(now)
        self.serving.assemblies.expire(now)
        self.serving.cutter.kept.expire(now)
        for connection in list(self._connections):
            connection.check(now)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = loop.call_later(SWEEP, self._look_again, loop)
        self.look()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not done():  # noqa: ASYNC110 (several things are waited for, over within moments)
                    await asyncio.sleep(GLANCE)
        except TimeoutError:
            return
