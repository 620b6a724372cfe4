"""Calling a cloud function: its arguments from a committed row, its effects held until it has returned."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app import Lake, State, States
from rimward.app.commands import Order
from rimward.app.effects import CloudEffects, current
from rimward.app.facts import Fact
from rimward.app.forms import Kept
from rimward.app.functions import CloudFunction, ScheduledFunction
from rimward.app.plan import Parameter
from rimward.app.state import StateType
from rimward.cloud.functions.journal import Forwarded, Given, Journal, Unit
from rimward.events import CommandsFull, Event, to_ns
from rimward.wire import HUB

WAITING = 10_000  # commands of one node without an outcome


class Ground(Struct, frozen=True):
    """What every call stands on."""

    facts: Mapping[type[Struct], Fact]
    states: Mapping[type[Struct], StateType[Any]]
    settings: Struct | None  # the app's, of the type of its `config`
    now: Callable[[], int]  # wall ns
    journal: Journal
    lake: Callable[[], Lake]


class CloudCells:
    """A state's cells as one unit of work sees them: its own changes before what is committed."""

    def __init__(self, type_: StateType[Any], ground: Ground, unit: Unit) -> None:
        self.type = type_
        self._ground = ground
        self._unit = unit

    def find(self, key: str) -> Struct | None:
        """Return a cell's value, None where there is none or its time is over."""
        kept = self.kept(key)
        return None if kept is None else kept.value

    def kept(self, key: str) -> Kept[Any] | None:
        """Return a cell with what other versions of the app have in it, as `find`.

        Raises:
            StateUnreadable: this version of the app can't read it.
        """
        changed = self._unit.cells.get((self.type.name, key))
        if changed is not None:
            return self.type.form.load(changed)
        stored = self._ground.journal.cell(self.type.name, key)
        if stored is None:
            return None
        value, at = stored
        lifetime = self.type.expires
        if lifetime is not None and self._ground.now() - at > lifetime * 1e9:
            return None
        return self.type.form.load(value)

    def items(self) -> Iterator[tuple[str, Struct]]:
        """Yield every key with its value."""
        own = [key for space, key in self._unit.cells if space == self.type.name]
        for key in dict.fromkeys([*self._ground.journal.cell_keys(self.type.name), *own]):
            if (value := self.find(key)) is not None:
                yield key, value


class Call(CloudEffects):
    """The effects of one call; they join their unit of work when it has returned."""

    def __init__(
        self,
        function: CloudFunction | ScheduledFunction,
        rows: list[dict[str, Any]],
        ground: Ground,
        unit: Unit,
    ) -> None:
        """`rows` are of the function's table; for one that is scheduled, one that stands for its time."""
        self._function = function
        self._rows = rows
        self._ground = ground
        self._unit = unit
        scheduled = isinstance(function, ScheduledFunction)
        self._table = function.name if scheduled else function.fact.spec.table
        self._forwards: list[Forwarded] = []
        self._commands: list[Given] = []
        self._handles: list[tuple[StateType[Any], State[Any], Any]] = []  # with what is unknown in it

    def run(self) -> None:
        """Call the function and wait for it; it raises what the function raises, and leaves nothing then."""
        plan, (payload, fact) = self._function.plan, self._payload()
        arguments = [self._argument(parameter, payload, fact) for parameter in plan.parameters]
        token = current.set(self)
        try:
            if plan.is_async:
                asyncio.run(plan.function(*arguments))
            else:
                plan.function(*arguments)
        finally:
            current.reset(token)
        self._join()

    def _payload(self) -> tuple[Any, Any]:
        """Return what the function takes, and the fact whose key names its cells."""
        function = self._function
        if isinstance(function, ScheduledFunction):
            return None, None
        facts = [fact_of(function.fact, row) for row in self._rows]
        return facts if function.batch else facts[0], facts[0]

    def _join(self) -> None:
        """Let the unit have the effects; a state that can't be written raises before anything is there."""
        checked = [(type_, handle.key, handle.checked(), unknown) for type_, handle, unknown in self._handles]
        cells = {
            (type_.name, key): type_.form.seal(one.body, unknown)
            for type_, key, one, unknown in checked
            if one is not None
        }
        self._unit.cells.update(cells)
        self._unit.forwards += self._forwards
        self._unit.commands += self._commands

    def _argument(self, parameter: Parameter, payload: Any, fact: Any) -> Any:
        match parameter.kind:
            case "lake":
                return self._ground.lake()
            case "config":
                return self._ground.settings
            case "event":
                return event_of(self._table, self._rows[0])
            case "state":
                return self._state(self._ground.states[parameter.type], fact)
            case "states":
                type_ = self._ground.states[parameter.type]
                return States(type_, CloudCells(type_, self._ground, self._unit))
            case _:
                return payload

    def _state(self, type_: StateType[Any], fact: Any) -> State[Any]:
        key = key_text(getattr(fact, type_.key))
        kept = CloudCells(type_, self._ground, self._unit).kept(key)
        handle: State[Any] = State(type_, key, type_.struct() if kept is None else kept.value)
        self._handles.append((type_, handle, None if kept is None else kept.unknown))
        return handle

    # -- what the function asks for

    def forward(self, fact: Struct) -> None:
        """Hold a fact for its table.

        Raises:
            TypeError: it is not of a declared type.
            msgspec.ValidationError: a value is not of its field's.
        """
        declared = self._ground.facts.get(type(fact))
        if declared is None:
            raise TypeError(f"app.forward: {type(fact).__name__} is not a fact; declare it with @app.fact")
        spec, row = declared.spec, self._rows[0]
        trace = bytes.fromhex(row["_trace"]) if row["_trace"] else None
        self._forwards.append(
            Forwarded(spec.table, spec.fingerprint, spec.priority, declared.row(fact), self._id, trace)
        )

    def now(self) -> int:
        """Return the wall clock, ns since the epoch."""
        return self._ground.now()

    def command(self, order: Order) -> None:
        """Hold a command for a device.

        Raises:
            CommandsFull: too many wait for the node.
            ValueError: no node is known.
        """
        node = order.node or self._rows[0]["_node"]
        if node == HUB:
            raise ValueError(
                "app.command: the event is of the hub itself, which has no devices; name the node: node=…"
            )
        waiting = self._ground.journal.commands_waiting(node)
        held = [*self._unit.commands, *self._commands]
        if waiting + sum(given.node == node for given in held) >= WAITING:
            raise CommandsFull(f"app.command: {WAITING} commands wait for the node {node}, the limit")
        key = order.key or f"{self._id}:{order.name}:{order.device}"
        self._commands.append(Given(order, node, key, self._id))

    @property
    def _id(self) -> str:
        return identity(self._table, self._rows[0])


def key_text(value: Any) -> str:
    """Return a field's value as a cell's key."""
    value = getattr(value, "value", value)  # of an Enum
    return value if isinstance(value, str) else str(value)


def identity(table: str, row: dict[str, Any]) -> str:
    """Return what names a row for ever: the idempotency key of whatever it causes."""
    return f"{row['_node']}:{row['_lane'] or table}:{row['_epoch']}:{row['_seq']}"


def event_of(table: str, row: dict[str, Any]) -> Event:
    """Return a row as an event; its id is the same at every retry: the idempotency key."""
    received = to_ns(row["_received_at"])
    return Event(
        id=identity(table, row),
        source=f"//{row['_site']}/{row['_node']}",
        type=table,
        subject=table,
        time=received if row["_time"] is None else to_ns(row["_time"]),
        received_at=received,
        sender=row["_node"],
        protocol="lake",
        traceparent=None,
    )


def fact_of(fact: Fact, row: dict[str, Any]) -> Any:
    """Return a table's row as the fact that it was."""
    values = {name: value for name, value in row.items() if not name.startswith("_")}
    for column in fact.spec.columns:
        if column.type == "json" and values[column.name] is not None:
            values[column.name] = msgspec.json.decode(values[column.name])
    return msgspec.convert(values, fact.struct)
