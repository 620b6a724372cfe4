"""Functions and streams as declared: name, trigger, plan and place in the file."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app.facts import Fact, Priority
from rimward.app.manifest import FunctionSpec
from rimward.app.plan import Plan
from rimward.app.stream import Stream
from rimward.app.triggers import Mqtt, Trigger


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

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it."""
        return FunctionSpec(
            self.name, "edge", str(self.trigger), self.budget, (), batch=False, file=self.file, line=self.line
        )


class CloudFunction(Struct, frozen=True):
    """A function that runs in the cloud on committed rows of one fact, at least once each."""

    name: str
    fact: Fact
    plan: Plan
    batch: bool  # takes list[Fact]
    file: str
    line: int
    was: str | None = None  # the name under which its position was kept

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it."""
        table = self.fact.spec.table
        return FunctionSpec(
            self.name, "cloud", table, None, (table,), batch=self.batch, file=self.file, line=self.line
        )


class StreamDeclaration(Struct, frozen=True):
    """A stream that runs on the node; its name keys its windows."""

    name: str
    trigger: Mqtt
    payload: Any  # T of the Stream[T] that it takes
    stream: Stream[Any]
    fact: Fact | None  # what it forwards
    function: Callable[..., Any]
    file: str
    line: int
    was: str | None = None  # the name under which its windows were kept

    def __str__(self) -> str:
        return self.name

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it."""
        facts = (self.fact.spec.table,) if self.fact else ()
        return FunctionSpec(
            self.name, "stream", str(self.trigger), None, facts, batch=False, file=self.file, line=self.line
        )
