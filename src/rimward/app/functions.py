"""Functions and streams as declared: name, trigger, plan and place in the file."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app.codes import assigned_globals
from rimward.app.confine import Confine
from rimward.app.declared import CloudOptions, Mode, OnFull, Overrun, Run
from rimward.app.describing import captures_of, named_in, reply_of, schema_of
from rimward.app.facts import Fact, Priority
from rimward.app.manifest import FunctionSpec
from rimward.app.plan import Plan
from rimward.app.steps import Window
from rimward.app.stream import Stream
from rimward.app.triggers import Coap, Cron, Every, Http, Mqtt, Trigger, Ws
from rimward.app.wasm import Component


class EdgeFunction(Struct, frozen=True):
    """A function that runs on the node."""

    name: str
    trigger: "Trigger | StreamDeclaration"
    plan: Plan
    budget: float | None  # seconds from the bytes' arrival to the answer ready
    priority: Priority
    file: str
    line: int
    durable: bool = True  # its commits are part of the message's transaction
    timeout: float | None = None  # seconds that an async call may take
    was: str | None = None
    limit: float | None = None  # seconds of its own time after which it is stopped; None: as the node does
    on_overrun: Overrun = "finish"
    mode: Mode | None = None
    max: int = 10  # events that may run or wait, or run beside each other, as `mode` says
    run: Run = "auto"  # as it was declared
    confine: Confine | None = None
    on_full: OnFull = "wait"  # of a timer or a cron line: what becomes of a firing without room
    component: Component | None = None  # with the code of one that runs in WebAssembly

    def spec(self, tables: dict[type[Struct], str]) -> FunctionSpec:
        """Return what the manifest says of it; `tables` are the app's facts."""
        trigger, plan = self.trigger, self.plan
        protocol, method, path, names = _source(trigger)
        return FunctionSpec(
            self.name, "edge", str(trigger), self.budget, (), batch=False, file=self.file, line=self.line,
            priority=self.priority, protocol=protocol, method=method, path=path,
            captures=captures_of(names, plan),
            payload=None if plan.payload is None else schema_of(plan.payload),
            reply=reply_of(plan),
            forwards=named_in(plan.function, tables),
            identity=any(str(parameter.kind) == "device" for parameter in plan.parameters),
            behind=(trigger.name,) if isinstance(trigger, StreamDeclaration) else (),
            component=None if self.component is None else self.component.file,
            keeps=tuple(sorted(assigned_globals(plan.function))),
        )  # fmt: skip


class CloudFunction(Struct, frozen=True):
    """A function that runs in the cloud on committed rows of one fact, at least once each."""

    name: str
    fact: Fact
    plan: Plan
    batch: bool  # takes list[Fact]
    options: CloudOptions
    file: str
    line: int
    was: str | None = None  # the name under which its position was kept

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it."""
        table = self.fact.spec.table
        return FunctionSpec(
            self.name, "cloud", table, None, (table,), batch=self.batch, file=self.file, line=self.line
        )


class ScheduledFunction(Struct, frozen=True):
    """A function that runs in the cloud at its times, once a region."""

    name: str
    schedule: Cron | Every
    plan: Plan
    options: CloudOptions
    file: str
    line: int
    was: str | None = None  # the name under which its position was kept

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it."""
        return FunctionSpec(
            self.name, "cloud", str(self.schedule), None, (), batch=False, file=self.file, line=self.line
        )


class StreamDeclaration(Struct, frozen=True):
    """A stream that runs on the node; its name keys its windows."""

    name: str
    triggers: "tuple[Mqtt | StreamDeclaration, ...]"
    payloads: tuple[Any, ...]  # T of the Stream[T] that it takes for each trigger
    stream: Stream[Any]
    fact: Fact | None  # what it forwards
    function: Callable[..., Any]
    file: str
    line: int
    was: str | None = None  # the name under which its windows were kept
    result: Any = None  # the type of what leaves, as its function says it; Unknown where it does not
    on_full: OnFull = "wait"  # what becomes of a value without room
    late: bool = False  # stands for the values of that stream that came too late

    def __str__(self) -> str:
        return f"late({self.name})" if self.late else self.name

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it, by its first topic."""
        facts = (self.fact.spec.table,) if self.fact else ()
        topics = [
            (one, payload)
            for one, payload in zip(self.triggers, self.payloads, strict=True)
            if isinstance(one, Mqtt)
        ]
        topic, payload = topics[0] if topics else (None, None)
        windows = [
            step.step for step in self.stream.steps if isinstance(step, Window) and step.kind != "count"
        ]
        return FunctionSpec(
            self.name, "stream", " + ".join(map(str, self.triggers)), None, facts, batch=False,
            file=self.file, line=self.line,
            protocol="mqtt" if topic else None, path=topic.pattern.text if topic else None,
            captures=captures_of(topic.pattern.names) if topic else (),
            payload=schema_of(payload) if topic else None,
            forwards=facts,
            window=windows[0] / 1e9 if windows else None,
            behind=tuple(one.name for one in self.triggers if isinstance(one, StreamDeclaration)),
        )  # fmt: skip


def names_given(source: Mqtt | StreamDeclaration) -> tuple[str, ...]:
    """Return the names that a stream's source gives with each value: of captures, or of a stream's keys."""
    return source.pattern.names if isinstance(source, Mqtt) else source.stream.keys


def time_field(source: Mqtt | StreamDeclaration) -> str | None:
    """Return the field of a source's values that is their time; a stream's values have one already."""
    return source.time if isinstance(source, Mqtt) else None


def _source(
    trigger: "Trigger | StreamDeclaration",
) -> tuple[str | None, str | None, str | None, tuple[str, ...]]:
    """Return protocol, method, path and captures of what a device sends to run a function."""
    match trigger:
        case Mqtt():
            return "mqtt", None, trigger.pattern.text, trigger.pattern.names
        case Http():
            return "http", trigger.method, "/" + trigger.pattern.text, trigger.pattern.names
        case Ws():
            return "ws", None, "/" + trigger.pattern.text, trigger.pattern.names
        case Coap():
            return "coap", trigger.method, "/" + trigger.pattern.text, trigger.pattern.names
        case _:
            return None, None, None, ()
