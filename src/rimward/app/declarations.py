"""The decorators and verbs that an app and its parts have in common."""

import datetime as dt
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from msgspec import Struct

from rimward.app import effects
from rimward.app.commands import order
from rimward.app.confine import Confine, check_confine
from rimward.app.declared import (
    FULL,
    CloudDeclared,
    Declared,
    EdgeDeclared,
    EdgeOptions,
    FactDeclared,
    Mode,
    OnFail,
    OnFull,
    Overrun,
    Run,
    StreamDeclared,
    check_choice,
    check_priority,
    check_run,
    check_struct,
    cloud_options,
    duration,
)
from rimward.app.effects import check_topic, checked, current, encode_payload
from rimward.app.facts import Priority, WhenFull
from rimward.app.hooks import WithHooks
from rimward.app.keeping import keeping_of
from rimward.app.problems import Problem, caller, place_of
from rimward.app.stating import WithStates
from rimward.app.stream import Stream
from rimward.app.triggers import Cron, Every, Late, Mqtt, Trigger
from rimward.events import Duration, Size, from_ns

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
R = TypeVar("R")
U = TypeVar("U")
S = TypeVar("S", bound=Struct)
Source = Mqtt | Late | Callable[..., Stream[Any]]  # of what a stream takes


class Declarations(WithHooks, WithStates):
    """What one file declares. Names must be unique across an app and all its parts."""

    def __init__(self, name: str) -> None:
        """Name it; plain text without a slash."""
        kind = type(self).__name__
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or "/" in name:  # pyright: ignore[reportUnnecessaryIsInstance] (users pass others)
            raise Problem(
                f"{kind}: the name {name!r} is empty or not plain text", f'write {kind}("cold-chain", …)'
            )
        self.name: str = name
        self._declared: list[Declared | Declarations] = []  # in the order of the file

    @overload
    def fact(self, type_: type[S], /) -> type[S]: ...
    @overload
    def fact(
        self,
        type_: None = None,
        /,
        *,
        priority: Priority = "normal",
        locality: str | None = None,
        name: str | None = None,
        was: str | None = None,
        retention: Duration | None = None,
        max_age: Duration | None = None,
        max_bytes: Size | None = None,
        when_full: WhenFull | None = None,
        live_first: bool = False,
    ) -> Callable[[type[S]], type[S]]: ...
    def fact(  # noqa: PLR0913 (a decorator with keywords)
        self,
        type_: type[S] | None = None,
        /,
        *,
        priority: Priority = "normal",
        locality: str | None = None,
        name: str | None = None,
        was: str | None = None,
        retention: Duration | None = None,
        max_age: Duration | None = None,
        max_bytes: Size | None = None,
        when_full: WhenFull | None = None,
        live_first: bool = False,
    ) -> type[S] | Callable[[type[S]], type[S]]:
        """Declare a type that may cross to the cloud; it is a table in the lake.

        Args:
            type_: the Struct; its fields are the table's columns.
            priority: its lane's.
            locality: the region that its rows must not leave.
            name: of its table, instead of the class's in snake case.
            was: the name it had before it was renamed; its table and its waiting rows go on under that.
            retention: how long the lake keeps a row; None is for ever.
            max_age: how long a row may wait in a node's outbox before it is given up, and counted.
            max_bytes: what the fact may take of a node's outbox: `"64MiB"`.
            when_full: who gives way then, or where the outbox is full: the fact's oldest rows
                (`"shed-oldest"`), the rows of the lowest class (`"shed-lowest"`), or the new message
                (`"refuse"`). None: as the node is configured. Rows of `critical` facts are never shed.
            live_first: new rows overtake a backlog, and the fact's rows have no order then.
        """
        check_priority(priority, "fact")
        keeping = keeping_of(priority, retention, max_age, max_bytes, when_full, live_first=live_first)
        place = caller()

        def declare(struct: type[S]) -> type[S]:
            check_struct(struct, "fact")
            self._declare(FactDeclared(struct, priority, locality, name, was, keeping, *place))
            return struct

        return declare if type_ is None else declare(type_)

    def edge(  # noqa: PLR0913 (the contract's options, each by its name)
        self,
        trigger: Trigger | Late | Callable[..., Stream[Any]],
        *,
        budget: Duration | None = None,
        priority: Priority = "normal",
        run: Run = "auto",
        mode: Mode | None = None,
        max: int | None = None,  # noqa: A002 (as home automation calls it)
        durable: bool = True,
        timeout: Duration | None = None,
        limit: Duration | None = None,
        on_overrun: Overrun = "finish",
        confine: Confine | None = None,
        on_full: OnFull | None = None,
        module: str | None = None,
        component: str | None = None,
        was: str | None = None,
    ) -> Callable[[F], F]:
        """Run the function on the node, next to the socket.

        Args:
            trigger: `mqtt(…)`, `http.get(…)`, `every(…)`, `cron(…)`, `timer(T)` or a stream of this app.
            budget: from the bytes' arrival to the answer ready; overruns are counted and traced.
            priority: the class by which the door admits its messages.
            run: where: "inline" on the loop, "process" in a process of its own; "auto" is inline, until it
                is slow too often. "wasm" is for code that nobody trusts: the function here says its name
                and its parameters alone, its code is in a file of its own.
            confine: what it may reach, where it runs in a process of its own.
            module: with run="wasm", that file: Python that needs the standard library alone, beside this one.
            component: with run="wasm", that file: a component of the world rimward:edge/edge-function.
            mode: what an event does that comes while the function still works on another with the same
                captures: "queued" waits for its turn, "single" is left out and told so, "restart" ends the
                other and takes its place, "parallel" runs beside it (not with a State parameter).
            max: events that may run or wait ("queued"), or run ("parallel"), at a time; 10 by default. One
                more is refused as busy.
            durable: False takes the function out of the message's transaction: the answer does not wait
                for what this function commits.
            timeout: the longest that an async function may take as a whole; then it is cancelled and failed.
            limit: how long it may take by its own time; then it is stopped, whatever it does. By default ten
                times the budget, and at least a second.
            on_overrun: "finish" lets it end, and counts and traces the overrun; "cut" stops it at twice its
                budget, and at 20 ms at the earliest, and answers in the protocol's words for a timeout; a
                function with the same parameters is called then, and answers in its place.
            on_full: of a timer or a cron line, what becomes of a firing that finds no room in the outbox:
                "wait" (as without it) tries it again until there is room, "drop" gives it up, counted.
            was: the function's name before it was renamed.
        """
        check_priority(priority, "edge")
        check_run(run)
        check_confine(confine, run)
        options = EdgeOptions(
            budget=duration(budget, "edge: budget", 'budget="5ms"'),
            priority=priority,
            mode=mode,
            max=max,
            durable=durable,
            timeout=duration(timeout, "edge: timeout", 'timeout="2s"'),
            was=was,
            limit=duration(limit, "edge: limit", 'limit="1s"'),
            on_overrun=on_overrun,
            run=run,
            confine=confine,
            on_full=on_full,
            module=module,
            component=component,
        )

        def declare(function: F) -> F:
            self._declare(EdgeDeclared(function, trigger, options, *place_of(function)))
            return function

        return declare

    def cloud(  # noqa: PLR0913 (the contract's options, each by its name)
        self,
        trigger: type[Struct] | Every | Cron,
        *,
        key: str | None = None,
        retries: int = 2,
        backoff: Duration = "1s",
        on_fail: OnFail = "dead-letter",
        trains: None = None,
        was: str | None = None,
    ) -> Callable[[F], F]:
        """Run the function in the cloud: for each committed row of a fact, or at its times, at least once.

        What it does through Rimward (state, `app.forward`, `app.command`) commits with its offset: exactly
        once. `list[Fact]` as the parameter's type is the batch form. `Event.id` is the idempotency key.

        Args:
            trigger: a fact, `CommandResult`, `cron(…)` or `every(…)`: once a region, what was missed once.
            key: the field whose values order events: those of one value run in order, and one that fails
                holds up its own value's alone. By default that of the function's State, else the node.
            retries: how often a call that raised is tried again.
            backoff: before the first retry; doubled for each, up to five minutes, with jitter.
            on_fail: after the retries: "dead-letter" keeps the event with its reason and goes on;
                "block" goes on trying, and holds up what is behind it.
            trains: comes with a later version.
            was: the function's name before it was renamed.
        """
        options = cloud_options(key, retries, backoff, on_fail)
        if trains is not None:
            raise Problem("cloud: trains= comes with a later version, with models", "take it away")

        def declare(function: F) -> F:
            self._declare(CloudDeclared(function, trigger, options, was, *place_of(function)))
            return function

        return declare

    @overload
    def stream(
        self, trigger: Source, /, *, on_full: OnFull = "wait", was: str | None = None
    ) -> Callable[[Callable[[Stream[T]], Stream[R]]], Callable[[Stream[T]], Stream[R]]]: ...
    @overload
    def stream(
        self, trigger: Source, second: Source, /, *, on_full: OnFull = "wait", was: str | None = None
    ) -> Callable[
        [Callable[[Stream[T], Stream[U]], Stream[R]]], Callable[[Stream[T], Stream[U]], Stream[R]]
    ]: ...
    @overload
    def stream(
        self, *triggers: Source, on_full: OnFull = "wait", was: str | None = None
    ) -> Callable[[F], F]: ...
    def stream(self, *triggers: Source, on_full: OnFull = "wait", was: str | None = None) -> Callable[[F], F]:
        """Declare a stream: the function runs once, at load, and says what becomes of the events.

        It takes a `Stream[T]` for each trigger, in their order; two meet by `join`, `asof` and the like.

        Args:
            triggers: topics, other streams, or what came too late for one: `late(stream)`.
            on_full: what becomes of a value that finds no room in the outbox: "wait" keeps it with its key
                until there is room, "drop" gives it up, counted.
            was: the stream's name before it was renamed.
        """
        check_choice(on_full, FULL, "stream: on_full")

        def declare(function: F) -> F:
            if not triggers or not all(
                isinstance(one, Mqtt | Late) or inspect.isroutine(one) for one in triggers
            ):
                raise Problem(
                    "stream: the trigger is neither a topic nor a stream",
                    'write @app.stream(mqtt("…")), or name another stream',
                    at=function,
                )
            self._declare(StreamDeclared(function, triggers, was, on_full, *place_of(function)))
            return function

        return declare

    def publish(self, topic: str, payload: Any, *, qos: int = 0, retain: bool = False) -> None:
        """Send an action to the topic's subscribers; it leaves when the call returns.

        A `CloudEvent` goes out in binary mode over MQTT 5 and in the JSON event format over MQTT 3.1.1.

        Raises:
            CloudEventError: the event's data are said to be JSON and are not.
            NoNode: no node runs in this context.
            ValueError: the topic has a wildcard, or qos is not 0 or 1.
        """
        actions = current.get().actions
        if actions is None:
            raise effects.no_node("publish")
        if topic not in checked:
            check_topic(topic)
        if qos not in (0, 1):
            raise ValueError(f"app.publish: qos is {qos}, it must be 0 or 1")
        actions.append((topic, encode_payload(payload), qos, retain))

    def forward(self, fact: Struct) -> None:
        """Send a fact to the cloud: with the message's transaction, exactly once into its table.

        Raises:
            NoNode: no node runs in this context.
            OutboxFull: the outbox has no room; the whole message is refused.
            TypeError: the value is not of a type declared with @app.fact.
        """
        effects.effects("forward").forward(fact)

    def now(self) -> dt.datetime:
        """Return the node's clock, the one that tests move."""
        return from_ns(effects.effects("now").now())

    def command(  # noqa: PLR0913 (the contract's options, each by its name)
        self,
        device: str,
        name: str,
        payload: Any = None,
        *,
        expires: Duration = "24h",
        timeout: Duration = "10s",
        key: str | None = None,
        node: str | None = None,
        idempotent: bool = False,
    ) -> None:
        """Send a device a command from a cloud function, durably with everything else that the call does.

        Its node gets it when it is there, carries it out at most once, and what became of it comes back as
        a `CommandResult`.

        Args:
            device: its id, as `Device.id` is at the edge.
            name: one topic segment.
            payload: as for `app.publish`; None is empty.
            expires: how long it may wait for its node and its device; 30 days at most.
            timeout: how long the device has to acknowledge.
            key: two commands of one key to one node are one; by default the event's id with the name.
            node: by default the one that the event came from.
            idempotent: it may be carried out twice, where nobody can know whether it was.

        Raises:
            CommandsFull: too many wait for the node; the event is tried again.
            NoNode: no cloud function runs in this context.
            NotHere: the call runs at the edge, where `await device.command(…)` is.
            ValueError: a name, a duration or the payload can't be one of a command, or no node is known.
        """
        found = effects.cloud_effects()
        found.command(
            order(
                device, name, payload,
                expires=expires, timeout=timeout, key=key, node=node, idempotent=idempotent,
            )
        )  # fmt: skip

    def _declare(self, declared: "Declared | Declarations") -> None:
        self._declared.append(declared)


class Part(Declarations):
    """A file of an app: the same decorators; `app.include(part)` takes it in.

    Args:
        name: unique in the app.
    """
