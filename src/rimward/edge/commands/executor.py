"""Carries commands from the cloud out: each key at most once for this node's store, whatever dies when.

A key is on disk before its command leaves, and stays longer than any command may wait. Where the process
died in between nobody knows whether the device has it: it is done again if that does no harm, else told as
"unknown". The result is a row of `_result`, committed with the key's end (GUARANTEES §5).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from rimward.app.commands import PAYLOAD_BYTES, RESULT, CommandResult
from rimward.edge.commands.keys import SPACE, STORE, Kept
from rimward.edge.dispatch.call import Origin, forward_of
from rimward.edge.dispatch.commands import Commands
from rimward.edge.dispatch.ports import Clocks, OutboxPort
from rimward.edge.dispatch.types import Message
from rimward.edge.outbox import Put, Transaction
from rimward.events import CommandTimeout, NotConnected, RimwardError
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire.commands import Command

log: Logger = get_logger("rimward.commands")

KEYS = 200_000  # that are remembered; nothing new is begun beyond, until old ones are forgotten
LOOKED = 500  # devices that one look cares for
FLYING = 256  # commands that are with their devices at once; others wait for the next look
KEPT = 2 * 86_400_000_000_000  # ns that a key stays after its command's expiry
PRUNED = 256  # keys that one look forgets
PAUSE, LONGEST = 5_000_000_000, 60_000_000_000  # ns before a device that refused is tried again; doubled


class _Flight(Struct, eq=False):
    """One command that is with its device."""

    command: Command
    executor: "Executor"
    number: str = ""
    until: int = 0  # monotonic ns; 0: it has not left
    result: CommandResult | None = None  # it is over, and this is not on disk yet
    writing: bool = False

    def done(self) -> bool:
        """Whether it is over."""
        return self.result is not None

    def set_result(self, message: Message, /) -> None:
        """Take the acknowledgement."""
        reply, detail = message.payload, ""
        if len(reply) > PAYLOAD_BYTES:
            reply, detail = None, f"its reply has {len(reply)} bytes, the limit is {PAYLOAD_BYTES}"
        self.executor.ended(self, "ok", detail, reply)

    def set_exception(self, error: RimwardError, /) -> None:
        """Learn that there will be none."""
        timeout = isinstance(error, CommandTimeout)
        self.executor.ended(self, "timeout" if timeout else "refused", str(error), None)


class Executor:
    """The node's hand for its hub."""

    def __init__(
        self,
        commands: Commands,
        outbox: OutboxPort,
        clocks: Clocks,
        counters: dict[str, int],
        *,
        damaged: bool = False,
    ) -> None:
        """Take over the keys on disk; `damaged`: some may be missing, and that makes it another store."""
        self._commands = commands
        self._outbox = outbox
        self._clocks = clocks
        self._counters = counters
        kept = outbox.load(SPACE)
        store = None if damaged else kept.pop(STORE, None)
        kept.pop(STORE, None)
        self._keys = {key: msgspec.msgpack.decode(value, type=Kept) for key, value in kept.items()}
        self._left: dict[str, Kept] = {key: one for key, one in self._keys.items() if one.begun}
        self._flights: dict[str, _Flight] = {}
        self._queues: dict[str, deque[Command]] = {}  # by device
        self._steps = 0  # transactions so far
        self._pauses: dict[str, tuple[int, int, str]] = {}  # by key: until, the pause, why
        self.store: str = os.urandom(8).hex() if store is None else store.decode()
        if store is None:
            self._append([Put(SPACE, STORE, self.store.encode())], None, lambda _: None)

    def offer(self, commands: Iterable[tuple[Command, str]]) -> None:
        """Take what there is to be done, each with the store that it was given to."""
        self._queues = {}
        for command, store in commands:
            over = command.key in self._keys and command.key not in self._left
            if store == self.store and not over and command.key not in self._flights:
                self._queues.setdefault(command.device, deque()).append(command)
        there = {command.key for queue in self._queues.values() for command in queue}
        self._pauses = {key: pause for key, pause in self._pauses.items() if key in there}

    def due(self, now: int | None) -> int | None:
        """Return when something is to be done by the clock alone, monotonic ns; None: nothing."""
        moments = [flight.until for flight in self._flights.values() if flight.until]
        for command in (queue[0] for queue in self._queues.values() if queue):
            until, _, _ = self._pauses.get(command.key, (0, 0, ""))
            if until:
                moments.append(until)
            if now is not None:
                moments.append(self._clocks.monotonic() + command.expires - now)
        return min(moments, default=None)

    def look(self, now: int | None) -> bool:
        """Do what can be done, and return whether anything was; `now` is the hub's wall clock, ns.

        Where nobody knows that clock, only what may be done twice is done. A device gets its commands one
        after the other, in their order.
        """
        steps = self._steps
        self._give_up_late()
        busy = {flight.command.device for flight in self._flights.values()}
        for device in list(self._queues)[:LOOKED]:
            queue = self._queues.pop(device)
            while queue and device not in busy:
                fate = self._judge(queue[0], now)
                if fate == "wait":
                    break
                queue.popleft()
                if fate == "begun":
                    busy.add(device)
            if queue:
                self._queues[device] = queue  # behind the others: all have their turn
        if now is not None:
            self._forget(now)
        return self._steps > steps

    def _judge(self, command: Command, now: int | None) -> Literal["wait", "begun", "ended"]:
        """Begin or end a command, or let it wait."""
        if command.key in self._left and not command.idempotent:
            self._end(_Flight(command, self), "unknown", "the node stopped while the device had it", None)
            return "ended"
        if now is None and not command.idempotent:
            return "wait"  # nobody knows whether its time is over: until the hub is heard again
        if now is not None and command.expires <= now:
            _, _, why = self._pauses.pop(command.key, (0, 0, ""))
            why = why or self._commands.reaches(command.device, command.name) or "too much was before it"
            self._end(_Flight(command, self), "expired", why, None)
            return "ended"
        return self._try(command)

    def _try(self, command: Command) -> Literal["wait", "begun"]:
        until, pause, _ = self._pauses.get(command.key, (0, PAUSE, ""))
        if self._clocks.monotonic() < until or len(self._flights) >= FLYING:
            return "wait"
        if len(self._keys) >= KEYS:
            self._count("commands_held")
            return "wait"
        why = self._commands.reaches(command.device, command.name)
        if why is not None:
            self._pauses[command.key] = (0, pause, why)
            return "wait"
        self._begin(command)
        return "begun"

    def _wait_again(self, command: Command) -> None:
        self._flights.pop(command.key, None)
        self._queues.setdefault(command.device, deque()).appendleft(command)

    def _begin(self, command: Command) -> None:
        """Put the key on disk; the command leaves when it is there."""
        flight = self._flights[command.key] = _Flight(command, self)
        kept = Kept(begun=True, expires=command.expires, number=command.number)

        def landed(error: RimwardError | None) -> None:
            if error is not None:
                self._wait_again(command)
                return
            reach("commands.taken")
            self._keys[command.key] = kept
            self._send(flight)

        self._append([Put(SPACE, command.key, msgspec.msgpack.encode(kept))], None, landed)

    def _send(self, flight: _Flight) -> None:
        command = flight.command
        flight.until = self._clocks.monotonic() + round(command.timeout * 1e9)
        try:
            flight.number = self._commands.begin(command.device, command.name, command.payload, flight)
        except NotConnected as error:  # it has gone meanwhile, and nothing was sent
            self._take_back(flight, str(error))
            return
        self._count("commands_from_cloud")

    def _take_back(self, flight: _Flight, why: str) -> None:
        """Let a command that has not left wait again."""
        key = flight.command.key
        pause = self._pauses.get(key, (0, PAUSE, ""))[1]
        self._pauses[key] = (self._clocks.monotonic() + pause, min(2 * pause, LONGEST), why)

        def landed(error: RimwardError | None) -> None:
            self._wait_again(flight.command)
            if error is None:
                del self._keys[key]
                self._left.pop(key, None)

        self._append([Put(SPACE, key, None)], None, landed)

    def _give_up_late(self) -> None:
        """End what was not acknowledged in time, and write again what the disk did not take."""
        now = self._clocks.monotonic()
        for flight in list(self._flights.values()):
            if flight.result is not None:
                self._report(flight, flight.result)
            elif flight.until and now >= flight.until:
                timeout = f"it did not acknowledge within {flight.command.timeout:g} s"
                self.ended(flight, "timeout", timeout, None)

    def ended(self, flight: _Flight, outcome: str, detail: str, reply: bytes | None) -> None:
        """Take what became of a command that left."""
        reach("commands.executed")
        self._commands.end(flight.number)
        self._end(flight, outcome, detail, reply)

    def _end(self, flight: _Flight, outcome: str, detail: str, reply: bytes | None) -> None:
        command = flight.command
        self._flights[command.key] = flight
        flight.result = CommandResult(command.device, command.name, command.key, outcome, detail, reply)
        self._report(flight, flight.result)

    def _report(self, flight: _Flight, result: CommandResult) -> None:
        """Commit a result with the end of its key; until that is on disk it is tried at each look."""
        if flight.writing:
            return
        flight.writing = True
        command = flight.command
        kept = Kept(begun=False, expires=command.expires, number=command.number)

        def landed(error: RimwardError | None) -> None:
            flight.writing = False
            if error is not None:
                return
            reach("commands.reported")
            self._flights.pop(command.key, None)
            self._keys[command.key] = kept
            self._left.pop(command.key, None)
            self._count(f"commands_{result.outcome}")

        self._append([Put(SPACE, command.key, msgspec.msgpack.encode(kept))], result, landed)

    def _forget(self, now: int) -> None:
        """Forget keys of commands that can't come again."""
        late = [key for key, kept in self._keys.items() if not kept.begun and kept.expires + KEPT < now]
        puts = [Put(SPACE, key, None) for key in late[:PRUNED]]

        def landed(error: RimwardError | None) -> None:
            if error is None:
                for put in puts:
                    self._keys.pop(put.key, None)

        if puts:
            self._append(puts, None, landed)

    def _append(
        self, puts: list[Put], result: CommandResult | None, done: Callable[[RimwardError | None], Any]
    ) -> None:
        self._steps += 1
        tx = Transaction()
        tx.puts += puts
        if result is not None:
            origin = Origin(f"command:{result.key}", self._clocks.wall(), None, None)
            tx.forwards.append(forward_of(RESULT, RESULT.row(result), origin))
        try:
            self._outbox.append(tx, done)
        except RimwardError as error:
            log.warning("a command's step can't be written", error=str(error))
            done(error)

    def _count(self, name: str) -> None:
        self._counters[name] = self._counters.get(name, 0) + 1
