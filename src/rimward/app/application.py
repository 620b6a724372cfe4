"""The app: what one file declares, checked as it is declared and once more when all of it is known."""

import datetime as dt
import typing
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

from msgspec import Struct

from rimward.app import effects
from rimward.app.effects import check_topic, checked, current, encode_payload
from rimward.app.facts import PRIORITIES, Fact, Priority
from rimward.app.functions import CloudFunction, EdgeFunction, StreamDeclaration
from rimward.app.manifest import FactSpec, FunctionSpec, Manifest
from rimward.app.plan import Plan, hints_of, make_plan
from rimward.app.problems import Problem, place_of
from rimward.app.state import StateType
from rimward.app.stream import Stream, Window, stream_argument
from rimward.app.triggers import Every, Http, Mqtt, Trigger, is_trigger
from rimward.events import Duration, from_ns, seconds

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Struct)
Decorator = Callable[[Callable[P, R]], Callable[P, R]]


class App:
    """One application: functions at the edge and in the cloud, and the facts that may cross between them."""

    def __init__(self, name: str, *, compat: str) -> None:
        """Name the app; behaviour changes only when the date `compat` (YYYY-MM-DD) is moved."""
        if not name or not name.isprintable() or "/" in name:
            raise Problem(f"App: the name {name!r} is empty or not plain text", 'write App("cold-chain", …)')
        try:
            dt.date.fromisoformat(compat)
        except (TypeError, ValueError):
            raise Problem(
                f"App: compat is {compat!r}, it must be a date", 'write compat="2026-11-01"'
            ) from None
        self.name = name
        self.compat = compat
        self.facts: dict[type[Struct], Fact] = {}
        self.states: dict[type[Struct], StateType[Any]] = {}
        self.edge_functions: list[EdgeFunction] = []
        self.cloud_functions: list[CloudFunction] = []
        self.streams: dict[Callable[..., Any], StreamDeclaration] = {}
        self._names: dict[str, tuple[str, int]] = {}

    @overload
    def fact(self, type_: type[S], /) -> type[S]: ...
    @overload
    def fact(
        self, type_: None = None, /, *, priority: Priority = "normal", locality: str | None = None
    ) -> Callable[[type[S]], type[S]]: ...
    def fact(
        self, type_: type[S] | None = None, /, *, priority: Priority = "normal", locality: str | None = None
    ) -> type[S] | Callable[[type[S]], type[S]]:
        """Declare a type that may cross to the cloud; it is a table in the lake."""
        if priority not in PRIORITIES:
            raise Problem(f"fact: priority is {priority!r}", f"write one of {', '.join(PRIORITIES)}")

        def declare(struct: type[S]) -> type[S]:
            _check_struct(struct, "fact")
            fact = Fact(struct, priority, locality)
            clash = [other for other in self.facts.values() if other.spec.table == fact.spec.table]
            if clash:
                raise Problem(f"two facts make the table {fact.spec.table!r}", "rename one", at=struct)
            self.facts[struct] = fact
            return struct

        return declare if type_ is None else declare(type_)

    def state(self, *, key: str, durable: bool = False) -> Callable[[type[S]], type[S]]:
        """Declare keyed state: one cell for each value of the capture `key`, every field with a default."""

        def declare(struct: type[S]) -> type[S]:
            _check_struct(struct, "state")
            self.states[struct] = StateType(struct, key, durable=durable)
            return struct

        return declare

    def edge(
        self,
        trigger: Trigger | Callable[..., Stream[Any]],
        *,
        budget: Duration | None = None,
        priority: Priority = "normal",
    ) -> Decorator[P, R]:
        """Run the function on the node, next to the socket."""
        if priority not in PRIORITIES:
            raise Problem(f"edge: priority is {priority!r}", f"write one of {', '.join(PRIORITIES)}")
        try:
            allowed = None if budget is None else seconds(budget)
        except ValueError as error:
            raise Problem(f"edge: budget: {error}", 'write budget="5ms"') from None

        def declare(function: Callable[P, R]) -> Callable[P, R]:
            resolved = self._edge_trigger(trigger, function)
            plan = self._edge_plan(function, resolved)
            file, line = self._name(function)
            self.edge_functions.append(
                EdgeFunction(function.__name__, resolved, plan, allowed, priority, file, line)
            )
            return function

        return declare

    def cloud(self, trigger: type[Struct]) -> Decorator[P, R]:
        """Run the function in the cloud for each committed row of a fact, at least once."""

        def declare(function: Callable[P, R]) -> Callable[P, R]:
            fact = self.facts.get(trigger)
            if fact is None:
                raise Problem(
                    f"cloud: {trigger!r} is not a fact of this app", "declare it with @app.fact", at=function
                )
            plan = make_plan(function, (), query=False, cloud=True)
            batch = plan.payload == list[trigger]
            if plan.payload is not None and plan.payload is not trigger and not batch:
                raise Problem(
                    f"{function.__name__} takes {plan.payload!r}",
                    f"its payload is {trigger.__name__} or list[{trigger.__name__}]",
                    at=function,
                )
            file, line = self._name(function)
            self.cloud_functions.append(CloudFunction(function.__name__, fact, plan, batch, file, line))
            return function

        return declare

    def stream(
        self, trigger: Mqtt
    ) -> Callable[[Callable[[Stream[Any]], Stream[R]]], Callable[[Stream[Any]], Stream[R]]]:
        """Declare a stream: the function runs once, now, and says what becomes of the events."""

        def declare(function: Callable[[Stream[Any]], Stream[R]]) -> Callable[[Stream[Any]], Stream[R]]:
            if not isinstance(trigger, Mqtt):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass others)
                raise Problem(
                    "stream: the trigger is not a topic", 'write @app.stream(mqtt("…"))', at=function
                )
            self.streams[function] = self._stream(trigger, function)
            return function

        return declare

    def publish(self, topic: str, payload: Any, *, qos: int = 0, retain: bool = False) -> None:
        """Send an action to the topic's subscribers; it leaves when the call returns.

        Raises:
            NoNode: no node runs in this context.
            ValueError: the topic has a wildcard, or qos is not 0 or 1.
        """
        found = current.get() or effects.effects("publish")
        if topic not in checked:
            check_topic(topic)
        if qos not in (0, 1):
            raise ValueError(f"app.publish: qos is {qos}, it must be 0 or 1")
        found.actions.append((topic, encode_payload(payload), qos, retain))

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

    def check(self) -> None:
        """Check what only the whole file can tell.

        Raises:
            Problem: a stream leads nowhere, two routes clash, or a function asks for an undeclared state.
        """
        used = {
            function.trigger.name
            for function in self.edge_functions
            if isinstance(function.trigger, StreamDeclaration)
        }
        for stream in self.streams.values():
            if not stream.stream.forwards and stream.name not in used:
                raise Problem(
                    f"the stream {stream.name} leads nowhere",
                    "end it in .forward(), or use it as a trigger: @app.edge(" + stream.name + ")",
                    at=stream.function,
                )
        routes: dict[tuple[str, tuple[str | None, ...]], EdgeFunction] = {}
        for function in self.edge_functions:
            if not isinstance(function.trigger, Http):
                continue
            route = (function.trigger.method, function.trigger.pattern.segments)
            if (other := routes.get(route)) is not None:
                raise Problem(
                    f"{function.name} and {other.name} (line {other.line}) both serve {function.trigger}",
                    "a request runs exactly one function; change one path",
                    at=function.plan.function,
                )
            routes[route] = function

    def manifest(self, file: str = "", digest: str = "") -> Manifest:
        """Return what the other layers need to know of the app."""
        specs: list[FunctionSpec] = [function.spec() for function in self.edge_functions]
        specs += [stream.spec() for stream in self.streams.values()]
        specs += [function.spec() for function in self.cloud_functions]
        facts: tuple[FactSpec, ...] = tuple(fact.spec for fact in self.facts.values())
        return Manifest(self.name, self.compat, file, digest, facts, tuple(specs))

    def _name(self, function: Callable[..., Any]) -> tuple[str, int]:
        place = place_of(function)
        if (other := self._names.get(function.__name__)) is not None:
            raise Problem(
                f"{function.__name__} is declared twice, before in line {other[1]}",
                "names key budgets, windows and traces; rename one",
                at=function,
            )
        self._names[function.__name__] = place
        return place

    def _edge_trigger(self, trigger: Any, function: Callable[..., Any]) -> Trigger | StreamDeclaration:
        if is_trigger(trigger):
            return trigger
        if callable(trigger) and trigger in self.streams:
            return self.streams[trigger]
        raise Problem(
            f"edge: {trigger!r} is not a trigger",
            'the first argument is mqtt("…"), http.get("…"), every("…") or a stream of this app',
            at=function,
        )

    def _edge_plan(self, function: Callable[..., Any], trigger: Trigger | StreamDeclaration) -> Plan:
        captures: tuple[str, ...] = ()
        if isinstance(trigger, Mqtt | Http):
            pattern = trigger.pattern
            captures = (*pattern.captures, pattern.tail) if pattern.tail else pattern.captures
        plan = make_plan(function, captures, query=isinstance(trigger, Http))
        self._check_captures(function, plan, captures)
        if isinstance(trigger, Every) and plan.payload is not None:
            raise Problem(f"{function.__name__} takes a payload, and a beat has none", at=function)
        if isinstance(trigger, Mqtt) and plan.returns in self.facts:
            raise Problem(
                f"{function.__name__} returns the fact {plan.returns.__name__}",
                "what is returned is the reply to the device; use app.forward to send a fact",
                at=function,
            )
        return plan

    def _check_captures(self, function: Callable[..., Any], plan: Plan, captures: tuple[str, ...]) -> None:
        used = {parameter.name for parameter in plan.parameters if parameter.kind == "capture"}
        for parameter in plan.parameters:
            if parameter.kind != "state":
                continue
            state = self.states.get(parameter.type)
            if state is None:
                raise Problem(
                    f"{function.__name__}: {parameter.type.__name__} is not a state of this app",
                    "declare it with @app.state(key=…)",
                    at=function,
                )
            if state.key not in captures:
                raise Problem(
                    f"{function.__name__}: {parameter.type.__name__} is keyed by {state.key!r}, "
                    "which the trigger does not capture",
                    f"write {{{state.key}}} in the trigger",
                    at=function,
                )
            used.add(state.key)
        for capture in captures:
            if capture not in used:
                raise Problem(
                    f"{function.__name__} captures {capture!r} and does not use it",
                    f"add the parameter '{capture}: str'",
                    at=function,
                )

    def _stream(self, trigger: Mqtt, function: Callable[[Stream[Any]], Stream[Any]]) -> StreamDeclaration:
        hints = hints_of(function)
        arguments = [stream_argument(hint) for name, hint in hints.items() if name != "return"]
        if len(arguments) != 1 or arguments[0] is None:
            raise Problem(
                f"{function.__name__} is a stream and does not take one Stream[T]",
                f"write def {function.__name__}(readings: Stream[Reading]) -> Stream[Minute]",
                at=function,
            )
        declared = function(Stream())
        if not isinstance(declared, Stream):  # pyright: ignore[reportUnnecessaryIsInstance] (users forget the return)
            raise Problem(f"{function.__name__} returns {declared!r}, not a stream", "return it", at=function)
        self._check_keys(function, declared, trigger, arguments[0])
        fact = self._stream_fact(function, declared, stream_argument(hints.get("return")))
        file, line = self._name(function)
        return StreamDeclaration(
            function.__name__, trigger, arguments[0], declared, fact, function, file, line
        )

    def _check_keys(
        self, function: Callable[..., Any], stream: Stream[Any], trigger: Mqtt, payload: Any
    ) -> None:
        fields: tuple[str, ...] = getattr(payload, "__struct_fields__", ())
        captures = (*trigger.pattern.captures, trigger.pattern.tail)
        for key in stream.keys:
            if key not in captures and key not in fields:
                raise Problem(
                    f"{function.__name__} is keyed by {key!r}, neither a capture nor a field of the payload",
                    f"write {{{key}}} in the topic",
                    at=function,
                )
        windows = [step for step in stream.steps if isinstance(step, Window)]
        for _name, source, _how in windows[0].fields if windows else ():
            if windows[0] is stream.steps[0] and source not in fields:
                raise Problem(
                    f"{function.__name__} aggregates {source!r}, which {payload.__name__} does not have",
                    f"its fields are {', '.join(fields)}",
                    at=function,
                )

    def _stream_fact(self, function: Callable[..., Any], stream: Stream[Any], result: Any) -> Fact | None:
        if not stream.forwards:
            return None
        fact = self.facts.get(result) if isinstance(result, type) else None
        if fact is None:
            raise Problem(
                f"{function.__name__} forwards {getattr(result, '__name__', result)!s}, which is not a fact",
                "declare it with @app.fact and say -> Stream[ThatFact]",
                at=function,
            )
        return fact


def _check_struct(struct: Any, what: str) -> None:
    if not (isinstance(struct, type) and issubclass(struct, Struct)):
        raise Problem(f"{what}: {struct!r} is not a msgspec Struct", "write class Name(Struct): …")
    if typing.get_origin(struct) is not None:
        raise Problem(f"{what}: {struct!r} is generic", "write the types out")
