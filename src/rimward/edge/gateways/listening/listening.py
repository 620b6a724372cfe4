"""All listeners of a node: opened by name, read again on demand, closed together."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from rimward.edge.gateways.descriptors import allowed
from rimward.edge.gateways.listening.accepting import Accepting, Hall
from rimward.edge.gateways.listening.config import (
    AcceptConfig,
    ListenerConfig,
    ListenerError,
    address_of,
    check,
)
from rimward.edge.gateways.listening.entering import Entering, MakeProtocol
from rimward.edge.gateways.peers import is_loopback
from rimward.observe import Logger, get_logger
from rimward_supervisor.listeners import BACKLOG, ListenError, bequeath, bind, release

if TYPE_CHECKING:
    from rimward.edge.gateways.listening.tls import Tls

log: Logger = get_logger("rimward.listening")

SHARE = 0.0625  # of the process's file descriptors that connections may take before a gateway has them
DAY = 86_400

Streams = Mapping[str, MakeProtocol]  # by protocol
Datagrams = Mapping[str, Callable[[socket.socket], Awaitable[None]]]  # by protocol


class Listening:
    """The doors' hinges: gateways get connections, and never see how those came in."""

    def __init__(
        self,
        listeners: Mapping[str, ListenerConfig],
        accept: AcceptConfig,
        streams: Streams,
        datagrams: Datagrams,
        *,
        may_be_open: bool,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """`wall` is ns since the epoch.

        `may_be_open`: who is not of this machine is asked who he is, or it was said that he need not be.

        Raises:
            ListenerError: a listener makes no sense, or is of a protocol that is not served.
        """
        self.counters: dict[str, int] = {}
        self._configs: dict[str, ListenerConfig] = dict(listeners)
        for name, config in self._configs.items():
            check(name, config)
        self._accept = accept
        self._streams = streams
        self._datagrams = datagrams
        self._may_be_open = may_be_open
        self._wall = wall
        self._hall = Hall(accept, self._count)
        self._sockets: dict[str, socket.socket] = {}
        self._own: set[str] = set()  # names of those that were bound here
        self._servers: list[asyncio.Server] = []
        self._watching: asyncio.Task[None] | None = None
        self._problem = ""  # why the files that were read last are not in use
        self._reading = asyncio.Lock()

    async def open(self, given: Mapping[str, socket.socket]) -> None:
        """Listen on the sockets given, and on the addresses of listeners that were given none.

        A socket whose name is no listener's is of the protocol that its name is.

        Raises:
            ListenerError: an address or a certificate can't be used, or anyone could come in from outside.
        """
        self._hall.limit_to(allowed(2 * self._accept.waiting, SHARE) // 2 or 1)
        for name in given:
            self._configs.setdefault(name, ListenerConfig(name))
        for name, config in self._configs.items():
            if config.protocol not in self._streams and config.protocol not in self._datagrams:
                known = ", ".join(sorted({*self._streams, *self._datagrams}))
                raise ListenerError(
                    f"listener {name}: protocol: {config.protocol!r} is none of those served, {known}"
                )
        self._sockets.update(given)
        self._sockets |= await asyncio.to_thread(self._bind, set(given))
        for name, sock in self._sockets.items():
            self._check_open(name, sock)
        for name, sock in list(self._sockets.items()):
            await self._open(name, sock)
        if any(listener.tls is not None for listener in self._hall.listeners):
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def reload(self) -> None:
        """Read certificates, CAs and CRLs again; what can't be used leaves in use what was."""
        async with self._reading:
            self._problem: str = ""
            for listener in self._hall.listeners:
                if listener.tls is None:
                    continue
                try:
                    await asyncio.to_thread(listener.tls.load)
                except ListenerError as error:
                    self._problem = str(error)
                    self._count(f"{listener.name}.reloads_failed")
                    log.error("what was read before stays in use", error=str(error))  # noqa: TRY400 (it says it all)
                else:
                    self._count(f"{listener.name}.reloads")

    async def close(self) -> None:
        """Accept nothing more; connections that gateways have are theirs."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for server in self._servers:
            server.close()
        for listener in self._hall.listeners:
            listener.close()
        await self._hall.close()
        await asyncio.to_thread(self._close_sockets)

    def stats(self) -> dict[str, int]:
        """Return figures: counters of each listener by its name, and when its first certificate expires."""
        expiring = {
            f"{listener.name}.certificate_expires": int(min(one.expires for one in listener.tls.shown))
            for listener in self._hall.listeners
            if listener.tls is not None
        }
        handshakes = self._hall.handshakes
        return {
            **self.counters,
            **expiring,
            "waiting": self._hall.waiting,
            "handshakes_waiting": handshakes.waiting,
            "handshakes_in_flight": handshakes.in_flight,
            "handshakes_us": handshakes.nanoseconds // 1000,
        }

    def problem(self) -> str | None:
        """Return what somebody must do something about."""
        if self._problem:
            return self._problem
        now = self._wall() * 1e-9
        for listener in self._hall.listeners:
            for one in listener.tls.shown if listener.tls is not None else ():
                if one.expires <= now:
                    return f"listener {listener.name}: the certificate {one.file} has expired"
                if one.is_old(now):
                    days = (one.expires - now) / DAY
                    return f"listener {listener.name}: the certificate {one.file} expires in {days:.1f} days"
        return None

    def _bind(self, given: set[str]) -> dict[str, socket.socket]:
        missing = {name: config for name, config in self._configs.items() if name not in given}
        for name, config in missing.items():
            if not config.address:
                raise ListenerError(f"listener {name}: address: one is needed where no socket is given")
        try:
            bound = bind({name: address_of(name, config) for name, config in missing.items()})
        except ListenError as error:
            raise ListenerError(f"listener {error.name}: address: {error.address}: {error.reason}") from None
        self._own = set(bound)
        return bound

    def _close_sockets(self) -> None:
        for name, sock in self._sockets.items():
            if name in self._own and sock.fileno() >= 0:
                release(sock)
            else:
                sock.close()  # the file of a Unix socket is the supervisor's

    def _check_open(self, name: str, sock: socket.socket) -> None:
        """Refuse that anyone could come in from outside, unless that was asked for."""
        if self._may_be_open:
            return
        cure = "name an access file, or say that anyone may come in (dev: --access FILE or --anonymous)"
        if self._configs[name].proxy_protocol_from:
            raise ListenerError(
                f"listener {name}: whoever comes through a proxy is not of this machine, and nobody is asked "
                f"who he is: {cure}"
            )
        host = "" if sock.family == socket.AF_UNIX else str(sock.getsockname()[0])
        if host and not is_loopback(host):
            raise ListenerError(f"listener {name}: others reach {host}, nobody is asked who he is: {cure}")

    async def _open(self, name: str, sock: socket.socket) -> None:
        config = self._configs[name]
        if config.protocol in self._datagrams and sock.type == socket.SOCK_DGRAM:
            await self._datagrams[config.protocol](sock)
            del self._sockets[name]  # its gateway answers what it owes, and closes it then
            return
        make = self._streams.get(config.protocol)
        bequeath(sock)
        if make is None:
            raise ListenerError(f"listener {name}: protocol: {config.protocol} is not served on this socket")
        if config.tls is None and not config.proxy_protocol_from and sock.family != socket.AF_UNIX:
            self._servers.append(await _serve_plain(sock, name, make))
            return
        listener = Accepting(name, config, make, self._hall)
        if listener.tls is not None:
            await asyncio.to_thread(listener.tls.load)
        self._hall.listeners.append(listener)
        listener.open(sock)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._accept.files)
            tls = [listener.tls for listener in self._hall.listeners if listener.tls is not None]
            if await asyncio.to_thread(_changed, tls):
                log.info("certificates have changed")
                await self.reload()

    def _count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1


def _changed(tls: "list[Tls]") -> bool:
    return sum(one.changed() for one in tls) > 0  # each of them looks


async def _serve_plain(sock: socket.socket, name: str, make: MakeProtocol) -> asyncio.Server:
    """Have the loop accept, which costs least."""
    loop = asyncio.get_running_loop()

    def entering() -> Entering:
        return Entering(make, name)

    return await loop.create_server(entering, sock=sock, backlog=BACKLOG)
