"""Putting an app together: what its files declare, checked as a whole, becomes functions that can run."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, structs

from rimward.app.apart import check_apart
from rimward.app.clashes import Clashes, Names
from rimward.app.cloud import check_declared, cloud_function, scheduled_function
from rimward.app.declared import (
    CloudDeclared,
    Declared,
    EdgeDeclared,
    FactDeclared,
    HookDeclared,
    MigrationDeclared,
    StateDeclared,
    StreamDeclared,
)
from rimward.app.facts import Fact
from rimward.app.functions import CloudFunction, EdgeFunction, ScheduledFunction, StreamDeclaration
from rimward.app.hooks import Hook, hook_of
from rimward.app.migrations import chain_migrations
from rimward.app.modes import MAX, check_mode
from rimward.app.overruns import check_overrun
from rimward.app.plan import Plan, Scope, make_plan, returns_something
from rimward.app.problems import Problem, name_of
from rimward.app.state import StateType
from rimward.app.streaming import check_lead_somewhere, check_time, stream_declaration
from rimward.app.timers import check_full, check_timer, check_timers
from rimward.app.triggers import (
    Coap,
    Cron,
    Every,
    Http,
    Late,
    Mqtt,
    Pattern,
    Timer,
    Trigger,
    Ws,
    is_trigger,
)
from rimward.app.wasm import component_of


class Resolved(Struct):
    """An app, checked."""

    facts: dict[type[Struct], Fact]
    states: dict[type[Struct], StateType[Any]]
    edge_functions: list[EdgeFunction]
    cloud_functions: list[CloudFunction]
    streams: dict[Callable[..., Any], StreamDeclaration]
    scheduled_functions: list[ScheduledFunction] = []
    hooks: list[Hook] = []


class Resolver:
    """One pass over everything that an app and its parts declare."""

    def __init__(self, config: type[Struct] | None) -> None:
        self._config = config
        self._names = Names()
        self._clashes = Clashes()
        self._app = Resolved({}, {}, [], [], {})
        self._streams: dict[Callable[..., Any], StreamDeclared] = {}

    def resolve(self, declared: Iterable[Declared]) -> Resolved:
        """Check the whole and return it.

        Raises:
            Problem: a rule of the contract is broken.
        """
        declared = list(declared)
        for one in declared:
            self._add_name(one)
        self._names.check_renamed(declared)
        self._add_migrations([one for one in declared if isinstance(one, MigrationDeclared)])
        self._streams = {one.function: one for one in declared if isinstance(one, StreamDeclared)}
        for one in self._streams.values():
            self._stream(one)
        for one in declared:
            if isinstance(one, EdgeDeclared):
                self._app.edge_functions.append(self._edge(one))
            elif isinstance(one, CloudDeclared):
                self._add_cloud(one)
            elif isinstance(one, HookDeclared):
                self._app.hooks.append(hook_of(one, self._app.states, self._config))
        check_lead_somewhere(self._app.streams.values(), self._app.edge_functions)
        check_timers(self._app.edge_functions, self._app.cloud_functions, self._app.states)
        return self._app

    def _add_name(self, one: Declared) -> None:
        if isinstance(one, FactDeclared):
            self._add_fact(one)
        elif isinstance(one, StateDeclared):
            self._add_state(one)
        elif not isinstance(one, MigrationDeclared):
            kind = "stream" if isinstance(one, StreamDeclared) else "function"
            self._names.add(kind, one.function.__name__, (one.file, one.line))

    def _add_cloud(self, one: CloudDeclared) -> None:
        app = self._app
        if isinstance(one.trigger, Cron | Every):
            app.scheduled_functions.append(scheduled_function(one, app.states, self._config))
        else:
            app.cloud_functions.append(cloud_function(one, app.facts, app.states, self._config))

    def _add_fact(self, one: FactDeclared) -> None:
        fact = one.made()
        self._names.add("fact", fact.spec.table, (one.file, one.line))
        self._app.facts[one.struct] = fact

    def _add_state(self, one: StateDeclared) -> None:
        state = one.made()
        state.timers = {}
        self._names.add("state", state.name, (one.file, one.line))
        self._app.states[one.struct] = state

    def _add_migrations(self, declared: list[MigrationDeclared]) -> None:
        for one in declared:
            if one.struct not in self._app.states:
                raise Problem(
                    f"migrate: {name_of(one.struct)} is not a state of this app",
                    "declare it with @app.state(key=…)",
                    at=(one.file, one.line),
                )
        for struct, state in self._app.states.items():
            state.form.steps = chain_migrations([one for one in declared if one.struct is struct], state)

    # -- streams

    def _stream(self, one: StreamDeclared, above: tuple[StreamDeclared, ...] = ()) -> StreamDeclaration:
        """Return what a stream declares; those that it takes are put together first."""
        app = self._app
        if one.function not in app.streams:
            if one in above:
                raise Problem(
                    f"the stream {one.function.__name__} takes what it gives itself",
                    "end the circle",
                    at=one.function,
                )
            sources = tuple(self._source(trigger, one, (*above, one)) for trigger in one.triggers)
            app.streams[one.function] = stream_declaration(one, sources, app.facts, app.states)
        return app.streams[one.function]

    def _source(
        self, trigger: Any, one: StreamDeclared, above: tuple[StreamDeclared, ...]
    ) -> Mqtt | StreamDeclaration:
        if isinstance(trigger, Mqtt):
            return trigger
        function = trigger.stream if isinstance(trigger, Late) else trigger
        declared = self._streams.get(function)
        if declared is None:
            raise Problem(
                f"{one.function.__name__} takes {name_of(function)}, which is not a stream of this app",
                "declare that with @app.stream first, or name a topic",
                at=one.function,
            )
        made = self._stream(declared, above)
        return structs.replace(made, late=True) if isinstance(trigger, Late) else made

    # -- functions at the edge

    def _edge(self, one: EdgeDeclared) -> EdgeFunction:
        function, options = one.function, one.options
        trigger = self._trigger(one)
        captures = self._captures_of(trigger, one)
        plan = make_plan(function, Scope(_kind(trigger), captures, self._config))
        if not isinstance(trigger, StreamDeclaration):  # a value need not be told whose it is
            self._check_captures(plan, captures)
        self._check_states(plan, captures)
        _check_payload(plan, trigger)
        self._check_return(plan, trigger)
        _check_iterator(plan, trigger)
        check_apart(plan, options.run)
        if options.timeout is not None and not plan.is_async:
            raise Problem(
                f"{function.__name__}: timeout= is for async functions", "write async def", at=function
            )
        if isinstance(trigger, Timer):
            check_timer(plan, trigger, options, durable=self._app.states[trigger.state].durable)
        check_mode(plan, options, follows=isinstance(trigger, StreamDeclaration))
        check_overrun(function, options)
        check_full(function, options, fires=isinstance(trigger, Timer | Cron))
        self._clashes.add(trigger, plan, (one.file, one.line))
        return EdgeFunction(
            function.__name__, trigger, plan, options.budget, options.priority, one.file, one.line,
            durable=options.durable, timeout=options.timeout, was=options.was, limit=options.limit,
            on_overrun=options.on_overrun, run=options.run, mode=options.mode, max=options.max or MAX,
            confine=options.confine, on_full=options.on_full or "wait", component=component_of(one, plan),
        )  # fmt: skip

    def _trigger(self, one: EdgeDeclared) -> Trigger | StreamDeclaration:
        trigger = one.trigger
        if is_trigger(trigger):
            return trigger
        if inspect.isroutine(trigger) and trigger in self._app.streams:
            return self._app.streams[trigger]
        if isinstance(trigger, Late) and trigger.stream in self._app.streams:
            return structs.replace(self._app.streams[trigger.stream], late=True)
        raise Problem(
            f"edge: {trigger!r} is not a trigger",
            'the first argument is mqtt("…"), http.get("…"), ws("…"), every("…"), cron("…"), timer(T) '
            "or a stream of this app",
            at=one.function,
        )

    def _captures_of(self, trigger: Trigger | StreamDeclaration, one: EdgeDeclared) -> tuple[str, ...]:
        """Return what a trigger captures; a timer its state's key, and the state learns of the timer."""
        if isinstance(trigger, Mqtt | Http | Ws | Coap):
            return _captures(trigger.pattern)
        if isinstance(trigger, StreamDeclaration):
            return trigger.stream.keys
        if not isinstance(trigger, Timer):
            return ()
        state = self._app.states.get(trigger.state)
        if state is None or state.timers is None:
            raise Problem(
                f"timer: {name_of(trigger.state)} is not a state of this app",
                "declare it with @app.state(key=…)",
                at=one.function,
            )
        state.timers[one.function] = one.function.__name__
        return (state.key,)

    def _check_captures(self, plan: Plan, captures: tuple[str, ...]) -> None:
        used = {parameter.name for parameter in plan.takes("capture")}
        for parameter in (*plan.takes("state"), *plan.takes("states")):
            if (state := self._app.states.get(parameter.type)) is not None and parameter.kind == "state":
                used.add(state.key)
        for capture in captures:
            if capture not in used:
                raise Problem(
                    f"{plan.function.__name__} captures {capture!r} and does not use it",
                    f"add the parameter '{capture}: str'",
                    at=plan.function,
                )

    def _check_states(self, plan: Plan, captures: tuple[str, ...]) -> None:
        name = plan.function.__name__
        for parameter in (*plan.takes("state"), *plan.takes("states")):
            state = check_declared(plan, parameter, self._app.states)
            if parameter.kind == "state" and state.key not in captures:
                raise Problem(
                    f"{name}: {parameter.type.__name__} is keyed by {state.key!r}, "
                    "which the trigger does not capture",
                    f"write {{{state.key}}} in the trigger",
                    at=plan.function,
                )

    def _check_return(self, plan: Plan, trigger: Trigger | StreamDeclaration) -> None:
        name = plan.function.__name__
        if isinstance(trigger, Mqtt) and plan.returns in self._app.facts:
            raise Problem(
                f"{name} returns the fact {plan.returns.__name__}",
                "what is returned is the reply to the device; use app.forward to send a fact",
                at=plan.function,
            )
        if isinstance(trigger, Every | Cron | Timer | StreamDeclaration) and returns_something(plan):
            raise Problem(
                f"{name} returns a value, and behind {_kind(trigger)} nobody waits for a reply",
                "write -> None",
                at=plan.function,
            )


def _captures(pattern: Pattern) -> tuple[str, ...]:
    return (*pattern.captures, pattern.tail) if pattern.tail else pattern.captures


def _kind(trigger: Trigger | StreamDeclaration) -> str:
    if isinstance(trigger, Mqtt):
        return "a topic"
    if isinstance(trigger, Http | Coap):
        return "a request"
    if isinstance(trigger, Ws):
        return "a socket"
    if isinstance(trigger, Timer):
        return "a timer"
    return "a beat" if isinstance(trigger, Every | Cron) else "a stream"


def _check_iterator(plan: Plan, trigger: Trigger | StreamDeclaration) -> None:
    """Refuse a stream of replies where nobody can take one, or where it would outlive what it holds."""
    if not plan.streams:
        return
    name = plan.function.__name__
    if not isinstance(trigger, Http | Ws):
        raise Problem(
            f"{name} returns many values, and behind {_kind(trigger)} nobody can take them",
            'return one value, or use http.get("…") or ws("…")',
            at=plan.function,
        )
    if plan.takes("state"):
        raise Problem(
            f"{name} returns an async iterator and takes State: it goes on when its call has ended",
            "take States[T], which reads the newest value at any time",
            at=plan.function,
        )


def _check_payload(plan: Plan, trigger: Trigger | StreamDeclaration) -> None:
    name = plan.function.__name__
    if isinstance(trigger, Every | Cron | Timer):
        if plan.payload is not None:
            raise Problem(
                f"{name} takes a payload, and {_kind(trigger)} has none",
                "take the parameter away",
                at=plan.function,
            )
        return
    if plan.payload is None and not isinstance(trigger, Http | Coap):
        given = "value" if isinstance(trigger, StreamDeclaration) else "payload"
        raise Problem(
            f"{name} has no parameter for the {given}",
            f"add one, such as '{given}: bytes' or a Struct"
            if given == "payload"
            else f"add one of the type that {trigger} gives",
            at=plan.function,
        )
    if isinstance(trigger, Mqtt):
        check_time(plan.function, plan.payload, trigger)
