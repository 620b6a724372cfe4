"""Functions in the cloud, checked against the app that declares them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.commands import RESULT, CommandResult
from rimward.app.declared import CloudDeclared
from rimward.app.facts import Fact
from rimward.app.functions import CloudFunction, ScheduledFunction
from rimward.app.plan import Parameter, Plan, Scope, make_plan, returns_something
from rimward.app.problems import Problem, name_of
from rimward.app.state import StateType
from rimward.app.triggers import Cron, Every

Facts = Mapping[type[Struct], Fact]
StateTypes = Mapping[type[Struct], StateType[Any]]


def cloud_function(
    one: CloudDeclared, facts: Facts, states: StateTypes, config: type[Struct] | None
) -> CloudFunction:
    """Return a declared function in the cloud as it can be run.

    Raises:
        Problem: a rule of the contract is broken.
    """
    function = one.function
    fact = RESULT if one.trigger is CommandResult else None
    if fact is None and isinstance(one.trigger, type):
        fact = facts.get(one.trigger)
    if fact is None:
        raise Problem(
            f"cloud: {name_of(one.trigger)} is not a fact of this app",
            "declare it with @app.fact",
            at=function,
        )
    plan = make_plan(function, Scope("a fact", (), config))
    batch = _check_payload(plan, fact)
    cell = _check_states(plan, fact, states, batch=batch)
    options = one.options
    if options.key is None and cell is not None:
        options = msgspec.structs.replace(options, key=cell)
    _check_key(plan, fact, options.key)
    return CloudFunction(function.__name__, fact, plan, batch, options, one.file, one.line, was=one.was)


def scheduled_function(
    one: CloudDeclared, states: StateTypes, config: type[Struct] | None
) -> ScheduledFunction:
    """Return a declared function that runs at its times.

    Raises:
        Problem: a rule of the contract is broken.
    """
    function, trigger, name = one.function, one.trigger, one.function.__name__
    assert isinstance(trigger, Cron | Every)
    plan = make_plan(function, Scope("a schedule", (), config))
    if plan.payload is not None:
        raise Problem(
            f"{name} takes a payload, and a schedule has none", "take the parameter away", at=function
        )
    for parameter in plan.takes("states"):
        check_declared(plan, parameter, states)
    if plan.takes("state"):
        raise Problem(
            f"{name} takes a State, and a schedule has no key",
            "take States[T], which reads every cell",
            at=function,
        )
    if one.options.key is not None:
        raise Problem(
            f"{name} is ordered by {one.options.key!r}, and a schedule has no fields",
            "take key= away",
            at=function,
        )
    if trigger.once != "node":
        raise Problem(
            f"{name} runs once a region, and once={trigger.once!r} is for functions at the edge",
            "take once= away",
            at=function,
        )
    if returns_something(plan):
        raise Problem(
            f"{name} returns a value, and behind a schedule nobody waits for a reply",
            "write -> None",
            at=function,
        )
    return ScheduledFunction(name, trigger, plan, one.options, one.file, one.line, was=one.was)


def check_declared(plan: Plan, parameter: Parameter, states: StateTypes) -> StateType[Any]:
    """Return the state of a parameter.

    Raises:
        Problem: the app has none of its type.
    """
    state = states.get(parameter.type)
    if state is None:
        raise Problem(
            f"{plan.function.__name__}: {name_of(parameter.type)} is not a state of this app",
            "declare it with @app.state(key=…)",
            at=plan.function,
        )
    return state


def _check_payload(plan: Plan, fact: Fact) -> bool:
    """Return whether a function takes batches."""
    name, struct = plan.function.__name__, fact.struct
    batch = plan.payload == list[struct]
    if plan.payload is not struct and not batch:
        given = "no payload" if plan.payload is None else name_of(plan.payload)
        raise Problem(
            f"{name} takes {given}",
            f"its payload is {struct.__name__} or list[{struct.__name__}]",
            at=plan.function,
        )
    if batch and plan.takes("event"):
        raise Problem(
            f"{name} takes a batch and an Event, and each row has one of its own",
            f"take {struct.__name__} instead of list[{struct.__name__}]",
            at=plan.function,
        )
    return batch


def _check_states(plan: Plan, fact: Fact, states: StateTypes, *, batch: bool) -> str | None:
    """Return the field that names the function's cells."""
    name, fields = plan.function.__name__, fact.struct.__struct_fields__
    found: str | None = None
    for parameter in (*plan.takes("state"), *plan.takes("states")):
        state = check_declared(plan, parameter, states)
        if parameter.kind == "states":
            continue
        if batch:
            raise Problem(
                f"{name} takes a batch and a State, and each row has a cell of its own",
                f"take {fact.struct.__name__} instead of list[{fact.struct.__name__}]",
                at=plan.function,
            )
        if state.key not in fields:
            raise Problem(
                f"{name}: {parameter.type.__name__} is keyed by {state.key!r}, "
                f"and {fact.struct.__name__} has no such field",
                f"its fields are {', '.join(fields)}",
                at=plan.function,
            )
        found = found or state.key
    return found


def _check_key(plan: Plan, fact: Fact, key: str | None) -> None:
    fields = fact.struct.__struct_fields__
    if key is not None and key not in fields:
        raise Problem(
            f"{plan.function.__name__} is ordered by {key!r}, and {fact.struct.__name__} has no such field",
            f"its fields are {', '.join(fields)}",
            at=plan.function,
        )
