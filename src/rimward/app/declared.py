"""What an app or a part declares, in the order of the file, before anything is put together."""

import typing
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from rimward.app.confine import Confine
from rimward.app.facts import PRIORITIES, Fact, Priority
from rimward.app.forms import Versions
from rimward.app.manifest import Keeping
from rimward.app.problems import Problem, name_of
from rimward.app.state import StateType
from rimward.app.triggers import Late, Mqtt
from rimward.events import Duration, seconds

Run = Literal["auto", "inline", "process", "wasm"]
Mode = Literal["queued", "single", "restart", "parallel"]
OnFail = Literal["block", "dead-letter"]
OnFull = Literal["wait", "drop"]
FULL = ("wait", "drop")
Moment = Literal["start", "stop"]
Overrun = Literal["finish", "cut"] | Callable[..., Any]


class EdgeOptions(Struct, frozen=True):
    """How a function at the edge runs; durations in seconds."""

    budget: float | None = None
    priority: Priority = "normal"
    mode: Mode | None = None
    max: int | None = None
    durable: bool = True
    timeout: float | None = None
    was: str | None = None
    limit: float | None = None
    on_overrun: Overrun = "finish"
    run: Run = "auto"
    confine: Confine | None = None
    on_full: OnFull | None = None
    module: str | None = None  # with the code of one that runs in WebAssembly
    component: str | None = None  # the same


class CloudOptions(Struct, frozen=True):
    """How a function in the cloud runs."""

    key: str | None = None  # the field that orders events
    retries: int = 2
    backoff: float = 1.0  # seconds before the first retry
    on_fail: OnFail = "dead-letter"


class FactDeclared(Struct, frozen=True):
    """A fact type; its columns are looked at when every name in the file is there."""

    struct: type[Struct]
    priority: Priority
    locality: str | None
    name: str | None
    was: str | None
    keeping: Keeping
    file: str
    line: int

    def made(self) -> Fact:
        """Return the fact.

        Raises:
            Problem: it can't be a table.
        """
        return Fact(
            self.struct, self.priority, self.locality, name=self.name, was=self.was, keeping=self.keeping
        )


class StateDeclared(Struct, frozen=True):
    """A state type; its fields are looked at when every name in the file is there."""

    struct: type[Struct]
    key: str
    durable: bool
    expires: float | None  # seconds
    name: str | None
    was: str | None
    versions: Versions
    file: str
    line: int

    def made(self) -> StateType[Any]:
        """Return the state type.

        Raises:
            Problem: a field has no default, or can't be kept.
        """
        return StateType(
            self.struct,
            self.key,
            durable=self.durable,
            expires=self.expires,
            name=self.name,
            was=self.was,
            versions=self.versions,
        )


class MigrationDeclared(Struct, frozen=True):
    """A function that makes of a state's older cell what the next version takes."""

    struct: type[Struct]  # the state
    version: int  # that it starts from
    function: Callable[..., Any]
    file: str
    line: int


class EdgeDeclared(Struct, frozen=True):
    """A function at the edge, with its trigger as it was written."""

    function: Callable[..., Any]
    trigger: Any
    options: EdgeOptions
    file: str
    line: int


class StreamDeclared(Struct, frozen=True):
    """A stream's function."""

    function: Callable[..., Any]
    triggers: tuple[Mqtt | Late | Callable[..., Any], ...]  # of each Stream[T]; streams are functions
    was: str | None
    on_full: OnFull
    file: str
    line: int


class CloudDeclared(Struct, frozen=True):
    """A function in the cloud."""

    function: Callable[..., Any]
    trigger: Any
    options: CloudOptions
    was: str | None
    file: str
    line: int


class HookDeclared(Struct, frozen=True):
    """A function that runs once when a node starts, or stops."""

    function: Callable[..., Any]
    moment: Moment
    timeout: float  # seconds
    file: str
    line: int


Declared = (
    FactDeclared
    | StateDeclared
    | MigrationDeclared
    | EdgeDeclared
    | StreamDeclared
    | CloudDeclared
    | HookDeclared
)


def duration(value: Duration | None, what: str, example: str) -> float | None:
    """Return a duration option in seconds.

    Raises:
        Problem: it is no duration.
    """
    try:
        return None if value is None else seconds(value)
    except ValueError as error:
        raise Problem(f"{what}: {error}", f"write {example}") from None


def cloud_options(key: str | None, retries: int, backoff: Duration, on_fail: OnFail) -> CloudOptions:
    """Return the options of a function in the cloud.

    Raises:
        Problem: one is not of its kind.
    """
    check_choice(on_fail, ("block", "dead-letter"), "cloud: on_fail")
    if type(retries) is not int or retries < 0:
        raise Problem(f"cloud: retries is {retries!r}", "write a whole number: retries=5")
    pause = duration(backoff, "cloud: backoff", 'backoff="1s"')
    assert pause is not None
    return CloudOptions(key, retries, pause, on_fail)


def check_choice(value: object, choices: tuple[str, ...], what: str) -> None:
    """Refuse a word that is none of the choices.

    Raises:
        Problem: it is another.
    """
    if value not in choices:
        raise Problem(f"{what} is {value!r}", f"write one of {', '.join(choices)}")


def check_priority(value: object, what: str) -> None:
    """Refuse what is no priority.

    Raises:
        Problem: it is none.
    """
    check_choice(value, PRIORITIES, f"{what}: priority")


def check_run(run: object) -> None:
    """Refuse a way to run that is none.

    Raises:
        Problem: it is one of these.
    """
    check_choice(run, ("auto", "inline", "process", "wasm"), "edge: run")


def check_struct(struct: Any, what: str) -> None:
    """Refuse what is no Struct, or has types left open.

    Raises:
        Problem: it is one of these.
    """
    if typing.get_origin(struct) is not None or getattr(struct, "__parameters__", ()):
        raise Problem(f"{what}: {name_of(struct)} is generic", "write the types out")
    if not (isinstance(struct, type) and issubclass(struct, Struct)):
        raise Problem(f"{what}: {name_of(struct)} is not a msgspec Struct", "write class Name(Struct): …")
