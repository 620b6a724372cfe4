"""All workers of a node, and its zygote: what dispatch hands calls to that do not run on the loop."""

import asyncio
import os
import socket
from collections.abc import Mapping
from time import monotonic_ns, time_ns

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rimward.app import App
from rimward.app.confine import Confine
from rimward.app.functions import EdgeFunction
from rimward.app.wasm import Component
from rimward.edge.functions.config import FunctionConfig, WorkersConfig
from rimward.edge.functions.control import Control
from rimward.edge.functions.link import Link
from rimward.edge.functions.pool import LOOK, Bounds, Pool
from rimward.edge.functions.processes import main_thread, resident
from rimward.events import LoadError, nbytes
from rimward.observe import Logger, WorkerStats, get_logger
from rimward.wire.functions import (
    Ask,
    Begin,
    Born,
    Caged,
    Caller,
    Confined,
    Died,
    Enforced,
    Fork,
    Here,
    Open,
)

log: Logger = get_logger("rimward.workers")

NEWS = 60_000_000_000  # ns for which a death is a problem that health names
_SHORTEST = 20_000_000  # ns after which a function that is to be cut is, at the earliest
_LIMIT = 1_000_000_000  # ns of one call, or ten times its budget where that is more
_GRACE = 250_000_000  # ns that a worker has to stop a call in WebAssembly by itself, and stay
_BESIDE = 128 << 20  # bytes that such a worker may have beside what its function may
_MAPPED = 20 << 30  # bytes of address space for two instances of it, which each reserve 4 GiB a memory


class Place(Struct, frozen=True):
    """Where a node's workers find what they need, and what they must not."""

    app: str  # as the node loads it
    hidden: tuple[str, ...]  # paths that no worker may read
    components: Mapping[Component, str] = {}  # where each is, compiled


class Workers:
    """The pools of all functions."""

    def __init__(
        self,
        app: App,
        config: WorkersConfig,
        place: Place,
        settings: Struct | None,
        environ: Mapping[str, str],
    ) -> None:
        """Nothing starts yet.

        Raises:
            LoadError: the configuration names a function that is not there, or confines one that is inline.
        """
        self._functions = {function.name: function for function in app.edge_functions}
        self._config = config
        self._place = place
        self._settings = settings
        self._environ = environ
        self._pools: dict[str, Pool] = {}
        self._leaving: list[Pool] = []  # of functions that are no more, while they have calls
        self._links: dict[int, Link] = {}
        self._numbers = 0
        self._control: Control | None = None
        self._looking = False
        self.zygote: int | None = None
        self.enforced: Enforced | None = None
        self._closed = False
        _check(config, self._functions)

    def listen(self, listener: socket.socket) -> None:
        """Wait for the zygote on a socket that listens, and have it make what is surely needed."""
        self._control = Control(listener, self, self._opened)
        for function in self._functions.values():
            if function.run in {"process", "wasm"}:
                self.pool(function.name).prepare()

    def check(self, app: App) -> None:
        """Tell whether the configuration fits another version of the app.

        Raises:
            LoadError: it names a function that is not there, or confines one that is inline.
        """
        _check(self._config, {function.name: function for function in app.edge_functions})

    def turn(self, app: App, settings: Struct | None, components: Mapping[Component, str]) -> None:
        """Have the calls from now on run by workers of another version; the others end when theirs have."""
        self._place = replace(self._place, components=components)
        self._functions = {function.name: function for function in app.edge_functions}
        self._settings = settings
        pools, self._pools = self._pools, {}
        for name, pool in pools.items():
            if (function := self._functions.get(name)) is not None:
                pool.turn(*self._for(function))
                self._pools[name] = pool
            else:
                pool.leave()
                self._leaving.append(pool)
        if self._control is None:
            return
        self._control.open()
        for name, function in self._functions.items():
            if function.run in {"process", "wasm"} or name in self._pools:
                self.pool(name).prepare()

    def configure(self, settings: Struct | None) -> None:
        """Have the calls from now on see other settings."""
        self._settings = settings
        for name, pool in self._pools.items():
            function = self._functions[name]
            if function.plan.takes("config"):
                pool.turn(*self._for(function))

    def _opened(self) -> Open:
        return Open(self._place.app, preload=bool(self._pools), hidden=self._place.hidden)

    def ask(self, function: str, key: str, ask: Ask, caller: Caller) -> bool:
        """Have a call run by the worker of its key; False where too many calls of the function wait."""
        if function not in self._functions or not self.pool(function).ask(key, ask, caller):
            return False  # one that is gone is asked for by calls of a version before alone
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(LOOK / 1e9, self._look)
        return True

    def pool(self, name: str) -> Pool:
        """Return a function's workers."""
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = self._made(self._functions[name])
        return pool

    def _made(self, function: EdgeFunction) -> Pool:
        return Pool(function.name, *self._for(function), self)

    def _for(self, function: EdgeFunction) -> tuple[Begin, Bounds]:
        config = self._config
        own = config.functions.get(function.name, FunctionConfig())
        confine, limit = own.confine(function.confine), limit_of(function)
        confined, caged = self._confined(confine), None
        if function.component is not None:
            path = self._place.components[function.component]
            caged = Caged(path, confine.memory_bytes, limit)
            confined = replace(confined, memory=confined.memory + _BESIDE, mapped=_MAPPED)
            limit += _GRACE
        settings = None
        if self._settings is not None and function.plan.takes("config"):
            settings = msgspec.msgpack.encode(self._settings)
        bounds = Bounds(
            config.size(function.name), config.queue, config.queue_bytes, config.calls,
            round(config.age * 1e9), nbytes(config.memory), limit,
        )  # fmt: skip
        return Begin(function.name, confined, settings, caged), bounds

    def _confined(self, confine: Confine) -> Confined:
        return Confined(
            network=confine.network,
            read=tuple(os.path.realpath(path) for path in confine.read),
            write=tuple(os.path.realpath(path) for path in confine.write),
            hidden=self._place.hidden,
            environment={name: self._environ[name] for name in confine.environment if name in self._environ},
            memory=confine.memory_bytes,
            cpu=confine.cpu_seconds,
            processes=confine.processes,
        )

    def _look(self) -> None:
        """Look for calls that take too long, for as long as there are calls."""
        self._looking = False
        now = monotonic_ns()
        busy = False
        self._leaving = [pool for pool in self._leaving if pool.waiting]
        for pool in (*self._pools.values(), *self._leaving):
            if pool.waiting:
                busy = True
                pool.over(now, main_thread)
        if busy and not self._closed:
            self._looking = True
            asyncio.get_running_loop().call_later(LOOK / 1e9, self._look)

    def tick(self) -> None:
        """Replace workers that are old or large; the node calls this once a second."""
        now = monotonic_ns()
        for pool in self._pools.values():
            pool.tick(now, resident)

    # -- what pools ask for

    def number(self) -> int:
        """Return a number that no other call and no other worker has."""
        self._numbers += 1
        return self._numbers

    def fork(self, link: Link, after: float) -> None:
        """Have a worker made, in so many seconds; calls wait for it meanwhile."""
        if after:
            asyncio.get_running_loop().call_later(after, self.fork, link, 0.0)
        elif not link.eof:
            self._links[link.number] = link
            assert self._control is not None
            confined = _pool_of(link).begin.confined
            self._control.fork(link, Fork(link.number, confined.memory, confined.processes))

    def kill(self, link: Link) -> None:
        """End a worker at once."""
        assert self._control is not None
        self._control.kill(link.number)

    def monotonic(self) -> int:
        """Return the clock, ns."""
        return monotonic_ns()

    def wall(self) -> int:
        """Return the wall clock, ns."""
        return time_ns()

    # -- what the zygote says

    def here(self, here: Here) -> None:
        """A zygote has come."""
        self.zygote, self.enforced = here.pid, here.enforced

    def born(self, born: Born) -> None:
        """A worker is there."""
        if (link := self._links.get(born.number)) is not None:
            link.pid = born.pid

    def dead(self, died: Died) -> None:
        """A worker has ended."""
        link = self._links.pop(died.number, None)
        if link is None:
            return
        link.status, link.text = died.status, died.text
        link.drain()
        link.close()
        _pool_of(link).buried(link)

    def lost(self) -> None:
        """The zygote is gone, and all its workers with it: their calls begin again."""
        self.zygote = None
        log.warning("the zygote of the workers has died: another one is awaited")
        links, self._links = self._links, {}
        for link in links.values():
            if link.pid is None and not link.eof and link.page >= 0:  # it waits for a zygote
                self._links[link.number] = link
                continue
            link.excused = True
            link.drain()
            link.close()
            _pool_of(link).buried(link)

    # -- figures

    def stats(self) -> dict[str, WorkerStats]:
        """Return the figures of each function that has workers."""
        return {name: pool.stats() for name, pool in self._pools.items()}

    def confinement(self) -> dict[str, str]:
        """Return what this machine enforces, by part: an empty text, or why not."""
        told = self.enforced
        if told is None:
            return {}
        return {name: getattr(told, name) for name in told.__struct_fields__ if name != "by"}

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """By what it is enforced."""
        return () if self.enforced is None else self.enforced.by

    def problem(self) -> str | None:
        """Name the functions whose workers died of late."""
        now = time_ns()
        found = [
            f"{name} (dead {stats.died} times, last: {stats.died_of})"
            for name, stats in self.stats().items()
            if stats.died and now - stats.died_at < NEWS
        ]
        return f"workers die: {', '.join(found)}" if found else None

    def close(self) -> None:
        """End all workers."""
        self._closed = True
        for pool in (*self._pools.values(), *self._leaving):
            pool.close()
        if self._control is not None:
            self._control.close()


def _pool_of(link: Link) -> Pool:
    assert isinstance(link.owner, Pool)
    return link.owner


def limit_of(function: EdgeFunction) -> int:
    """Return after how many ns of a call its process is ended."""
    budget = function.budget
    if budget is not None and function.on_overrun != "finish":
        return max(_SHORTEST, round(budget * 2e9))
    if function.limit is not None:
        return round(function.limit * 1e9)
    return _LIMIT if budget is None else max(_LIMIT, round(budget * 1e10))


def _check(config: WorkersConfig, functions: dict[str, EdgeFunction]) -> None:
    for name, own in config.functions.items():
        function = functions.get(name)
        if function is None:
            raise LoadError(f"workers.functions.{name}: the app has no such function", cure="take it away")
        if own.confines and function.run in {"auto", "inline"}:
            raise LoadError(
                f'workers.functions.{name} confines what runs on the loop (run="{function.run}")',
                file=function.file,
                line=function.line,
                cure='write run="process" in its decorator',
            )
