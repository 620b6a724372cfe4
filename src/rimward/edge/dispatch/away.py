"""Calls that run elsewhere: to the dispatcher they are async functions, whose effects come back in one piece.

What comes back is applied exactly as what an inline call leaves: all of it or nothing, in the message's
transaction. A worker that dies has left nothing.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rimward.app import Reply as Wanted
from rimward.app.device import Device
from rimward.app.effects import Action, EventPayload, TimerAsk, check_topic, checked
from rimward.app.facts import Fact
from rimward.edge.dispatch.call import Call, Ground, forward_of, row_bytes
from rimward.edge.dispatch.commands import Commands
from rimward.edge.dispatch.encodings import dressed, encoding_of, from_cbor, media_types
from rimward.edge.dispatch.failures import FarError
from rimward.edge.dispatch.functions import Bound, FunctionRun, Held, key_of
from rimward.edge.dispatch.modes import Replaced
from rimward.edge.dispatch.ports import Workers
from rimward.edge.dispatch.types import Message, Reply, Router
from rimward.edge.dispatch.version import Version
from rimward.edge.dispatch.waiting import Host as WaitingHost
from rimward.edge.dispatch.waiting import hold, settle
from rimward.edge.dispatch.work import Desk, Work
from rimward.edge.state import Cells
from rimward.events import CloudEvent, OutboxBroken, Reject, RimwardError, StateUnreadable, WorkerStopped
from rimward.wire.functions import (
    BYTES,
    EMPTY,
    EVENT,
    TEXT,
    Answer,
    Ask,
    Caller,
    Command,
    Ended,
    Failure,
    Form,
    Left,
    Look,
    Seen,
    Told,
)

_encode = msgspec.msgpack.Encoder().encode
SEEN = 500  # cells that a call gets in one go, where it reads all
READINGS = 16  # of all cells that one call may be at at a time


class Host(WaitingHost, Ground, Desk, Protocol):
    """What calls elsewhere ask of the dispatcher."""

    facts: dict[type[Struct], Fact]
    version: Version
    node: str
    commands: Commands
    counters: dict[str, int]
    router: Router
    actions: int

    def work_of(self, message: Message) -> Work:
        """Return the work that a message is."""
        ...


Readings = dict[int, Iterator[tuple[str, Struct]]]  # of all cells of a state, by their numbers


class Declared(Struct, frozen=True):
    """What a version of the app declares, as far as calls elsewhere need it."""

    cells: dict[str, Cells]  # of each state, by its name
    tables: dict[str, Fact]  # facts by table

    def look(self, look: Look, readings: Readings) -> Seen:
        """Return committed values; `readings` are where the call is that reads all."""
        cells = self.cells[look.state]
        try:
            if look.key is not None:
                value = cells.find(look.key)
                return Seen(look.number, {} if value is None else {look.key: _encode(value)})
            reading = readings.get(look.reading)
            if reading is None:
                if len(readings) >= READINGS:
                    del readings[next(iter(readings))]  # the call has left it where it was
                reading = readings[look.reading] = cells.items()
            found = {key: _encode(value) for key, value in islice(reading, SEEN)}
        except (StateUnreadable, OutboxBroken) as error:
            return Seen(look.number, {}, error=str(error))
        if len(found) < SEEN:
            del readings[look.reading]
        return Seen(look.number, found, more=len(found) == SEEN)


class Away:
    """Sends calls to workers and takes what comes back."""

    def __init__(self, host: Host, workers: Workers, clock: Callable[[], int]) -> None:
        """`clock` is monotonic ns."""
        self.host: Host = host
        self.workers: Workers = workers
        self.clock: Callable[[], int] = clock
        self.running: set[Caller] = set()
        self.tasks: set[asyncio.Task[None]] = set()  # commands to devices
        self._idle: asyncio.Event | None = None
        self._awaited: list[tuple[set[Caller], asyncio.Future[None]]] = []
        self.turn()

    def turn(self) -> None:
        """Take over what the host's version declares; calls that run keep what theirs did."""
        version = self.host.version
        self.declared: Declared = Declared(
            {cells.type.name: cells for cells in version.cells.values()},
            {fact.spec.table: fact for fact in version.facts.values()},
        )

    def run(self, bound: Bound, payload: Any, given: Any, work: Work, held: Held | None) -> None:
        """Send one call; `payload` is decoded, `given` is a stream's value where it is one."""
        run, host = bound.run, self.host
        body, form = _payload(run, payload, given, work)
        arguments = bound.sent()
        ask = Ask(
            0, body, form, arguments, [], host.wall_of(0), "json" if work.encoding in _JSON else "msgpack"
        )
        if held is not None:
            ask.states = [
                (slot.key, _encode(cell.value)) for slot, cell in zip(bound.slots, held.cells, strict=True)
            ]
        if bound.event_at >= 0:
            ask.event = work.as_event(host.node)
        if bound.device_at >= 0:
            ask.device = (work.sender.id, work.sender.user, work.sender.protocol)
        call = FarCall(self, bound, held, work)
        key = bound.slots[0].key if bound.slots else key_of(arguments) or work.sender.id
        if not self.workers.ask(run.name, key, ask, call):
            work.refuse("busy", f"too many calls of {run.name} wait")
            return
        hold(bound, held)
        work.pending += 1
        self.running.add(call)
        host.modes.began(bound, call.cancel)

    def over(self, call: Caller) -> None:
        """Forget a call that has ended."""
        self.running.discard(call)
        for calls, ended in tuple(self._awaited):
            calls.discard(call)
            if not calls:
                self._awaited.remove((calls, ended))
                ended.set_result(None)
        if self._idle is not None and not self.running:
            self._idle.set()

    def ended(self) -> asyncio.Future[None]:
        """Return what is done once the calls that run now have ended."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.running:
            self._awaited.append((set(self.running), ended))
        else:
            ended.set_result(None)
        return ended

    async def close(self, grace: float) -> None:
        """Wait up to `grace` seconds for the calls that run; the rest is lost, and was not acknowledged."""
        if self.running:
            self._idle = asyncio.Event()
            try:
                async with asyncio.timeout(grace):
                    await self._idle.wait()
            except TimeoutError:
                self.running.clear()
        for task in list(self.tasks):
            task.cancel()


class FarCall:
    """One call in a worker: a `wire.functions.Caller`."""

    __slots__ = ("_away", "_bound", "_declared", "_held", "_readings", "_work")

    def __init__(
        self, away: Away, bound: Bound, held: Held | None, work: Work, declared: Declared | None = None
    ) -> None:
        """`declared` is what the version has that it began on; None: the one that runs now."""
        self._away = away
        self._declared = declared or away.declared
        self._bound = bound
        self._held = held
        self._work = work
        self._readings: Readings = {}

    def cancel(self) -> None:
        """Take no more notice of it: a newer event has its place."""
        self.died(Replaced(f"a newer event of {self._bound.run.name} came"))

    def ended(self, ended: Ended) -> None:
        """Apply what the call left, or tell what it raised."""
        away, work = self._away, self._work
        if self not in away.running:
            return
        work.pending -= 1
        error: BaseException | None = None
        if ended.failure is not None:
            error = _raised(ended.failure)
        else:
            try:
                self._apply(ended)
            except Exception as raised:  # noqa: BLE001 (no room for a fact, or a value that can't be written)
                error = raised
        now = away.clock()
        self._settle(error, (now - ended.own, now))

    def died(self, error: Exception) -> None:
        """Tell that its worker died: it has left nothing."""
        if self in self._away.running:
            self._work.pending -= 1
            now = self._away.clock()
            self._settle(error, (now, now))

    def _settle(self, error: BaseException | None, times: tuple[int, int]) -> None:
        self._away.over(self)
        settle(self._away.host, self._bound, self._held, self._work, error, times)
        self._away.host.modes.ended(self._bound, self.cancel)

    def _apply(self, ended: Ended) -> None:
        call = Call(self._away.host, self._work)
        if ended.left is not None:
            self._take(ended.left, call)
        result = None if ended.answer is None else _result(ended.answer, self._work)
        self._away.host.succeeded(self._bound, call, self._held, self._work, result)

    def _take(self, left: Left, call: Call) -> None:
        """Hold what a call left, as the call itself would have; what it may not leave is an error."""
        for at, action in enumerate(left.actions):
            call.actions.append(action_of(action, left.events.get(at)))
        for table, values in left.rows:
            fact = self._declared.tables[table]
            row = fact.checked(values)
            self._away.host.admit(fact.spec, row_bytes(row), row)
            if call.forwards is None:
                call.forwards = []
            call.forwards.append(forward_of(fact, row, self._work.origin()))
        for one in left.timers:
            delay = None if one.delay is None else round(one.delay * 1e9)
            call.timer(TimerAsk(one.function, self._bound.slots[one.slot].key, delay, one.restart))
        if left.states and self._held is not None:
            for slot, handle, value in zip(self._bound.slots, self._held.handles, left.states, strict=True):
                if value is not None:
                    handle.value = slot.cells.type.form.read(value)

    def look(self, look: Look) -> Seen:
        """Return committed values."""
        return self._declared.look(look, self._readings)

    def command(self, command: Command, tell: Callable[[Told], None]) -> None:
        """Send the device a command, at once."""
        away = self._away
        task = asyncio.get_running_loop().create_task(self._command(command, tell))
        away.tasks.add(task)
        task.add_done_callback(away.tasks.discard)

    async def _command(self, command: Command, tell: Callable[[Told], None]) -> None:
        sender, commands = self._work.sender, self._away.host.commands
        device = Device(sender.id, sender.user, sender.protocol, commands)
        try:
            message = await commands.acknowledged(
                device, command.name, command.payload, allowed=command.allowed
            )
        except RimwardError as error:
            tell(Told(command.command, error=error.code, detail=str(error)))
        else:
            tell(_told(command, message))


_JSON = ("json", "text")


def _payload(run: FunctionRun, payload: Any, given: Any, work: Work) -> tuple[bytes | None, Form]:
    """Return what a function takes, as bytes that its worker decodes."""
    if run.decode is None:
        return None, "json"
    if given is not None:
        return _encode(given), "msgpack"
    if run.function.plan.payload in {bytes, str}:
        return work.data, "json"
    encoding = encoding_of(work.content_type)
    if encoding == "cbor":
        return _encode(payload), "msgpack"
    return work.data, "msgpack" if encoding == "msgpack" else "json"


def action_of(action: Action, event: CloudEvent | None) -> Action:
    """Return an action as the dispatcher has them, checked: a worker's word is not enough.

    Raises:
        ValueError: its topic or its QoS is none.
    """
    topic, payload, qos, retain = action
    if topic not in checked:
        check_topic(topic)
    if qos not in (0, 1):
        raise ValueError(f"app.publish: qos is {qos}, it must be 0 or 1")
    if event is not None:
        payload = EventPayload(payload)
        payload.event = event
    return (topic, payload, qos, retain)


def _raised(failure: Failure) -> BaseException:
    if failure.stopped:
        return WorkerStopped(failure.text)
    if failure.reject is not None:
        return Reject(failure.reject, failure.text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] (it raises for one that is none)
    return FarError(failure.name, failure.text, failure.place)


def _result(answer: Answer, work: Work) -> Any:
    """Return what a function returned, for `take_reply`."""
    value: Any
    if answer.kind == BYTES:
        value = answer.body
    elif answer.kind == TEXT:
        value = answer.body.decode()
    elif answer.kind == EVENT:
        value = msgspec.msgpack.decode(answer.body, type=CloudEvent)
    elif answer.kind == EMPTY:
        value = None
    elif work.encoding == "cbor":
        value = msgspec.msgpack.decode(answer.body)
    else:
        written = "json" if work.encoding == "text" else work.encoding
        reply = Reply(answer.body, content_type=media_types((written,)))
        return reply if answer.headers is None else dressed(reply, answer.status, answer.headers)
    return value if answer.headers is None else Wanted(value, answer.status, answer.headers)


def _told(command: Command, message: Message) -> Told:
    """Return an acknowledgement in a form that a worker reads."""
    encoding = encoding_of(message.content_type)
    if encoding == "cbor":
        try:
            return Told(command.command, _encode(from_cbor(message.payload)), "msgpack")
        except (ValueError, RecursionError, TypeError):
            return Told(command.command, message.payload, None)
    form: Form | None = "msgpack" if encoding == "msgpack" else None if encoding is None else "json"
    return Told(command.command, message.payload, form)
