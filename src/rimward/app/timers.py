"""What load can see of timers: those that nobody can start, and what is started and is none."""

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from rimward.app.declared import FULL, EdgeOptions
from rimward.app.functions import CloudFunction, EdgeFunction
from rimward.app.plan import Plan
from rimward.app.problems import Problem
from rimward.app.state import StateType
from rimward.app.triggers import Timer

VERBS = ("after", "cancel")


def check_timer(plan: Plan, trigger: Timer, options: EdgeOptions, *, durable: bool) -> None:
    """Refuse a timer's function that could not end together with its timer; `durable` is its state.

    Raises:
        Problem: it is out of its transaction, leaves its key to others meanwhile, or has a mode.
    """
    name, state = plan.function.__name__, trigger.state
    if not options.durable:
        raise Problem(
            f"{name}: durable=False, and a timer is over when its effects are on disk",
            "take durable=False away: behind a timer nobody waits for an answer",
            at=plan.function,
        )
    if options.mode is not None:
        raise Problem(
            f'{name}: mode="{options.mode}", and a key has one timer of a function at a time',
            "take mode= away",
            at=plan.function,
        )
    if durable and not any(parameter.type is state for parameter in plan.takes("state")):
        raise Problem(
            f"{name} does not take its durable state, which holds the key until its effects are on disk",
            f"add the parameter 'state: State[{state.__name__}]'",
            at=plan.function,
        )


def check_full(function: Callable[..., Any], options: EdgeOptions, *, fires: bool) -> None:
    """Refuse `on_full=` where somebody is told that there is no room; `fires` says that nobody is.

    Raises:
        Problem: it is there, or is none.
    """
    if options.on_full is None:
        return
    if options.on_full not in FULL:
        raise Problem(
            f"{function.__name__}: on_full is {options.on_full!r}",
            f"write one of {', '.join(FULL)}",
            at=function,
        )
    if not fires:
        raise Problem(
            f"{function.__name__}: on_full= is for timers and cron lines",
            "take it away: whoever sent the message is told that there is no room, a stream has its own "
            "on_full=, and every(…) comes again by itself",
            at=function,
        )


def check_timers(
    edge: Sequence[EdgeFunction],
    cloud: Sequence[CloudFunction],
    states: Mapping[type[Struct], StateType[Any]],
) -> None:
    """Refuse timers that nobody can start, and what starts a function that is no timer of its state.

    Raises:
        Problem: it is one of these.
    """
    for struct, state in states.items():
        for timer in state.timers or ():
            if not any(
                one.plan.function is not timer and any(p.type is struct for p in one.plan.takes("state"))
                for one in edge
            ):
                raise Problem(
                    f"the timer {timer.__name__} can be started by nobody: no other function takes "
                    f"State[{struct.__name__}]",
                    f"take state: State[{struct.__name__}] where it is to start, "
                    f'and write state.after("2m", {timer.__name__})',
                    at=timer,
                )
    for one in (*edge, *cloud):
        of = {parameter.name: states[parameter.type] for parameter in one.plan.takes("state")}
        code = getattr(one.plan.function, "__code__", None)
        if of and not set(VERBS).isdisjoint(getattr(code, "co_names", ())):
            _check_calls(one, of)


def _check_calls(one: EdgeFunction | CloudFunction, states: Mapping[str, StateType[Any]]) -> None:
    function = one.plan.function
    for parameter, verb, named, line in _calls(function):
        state = states.get(parameter)
        if state is None:
            continue
        if not isinstance(one, EdgeFunction):
            raise Problem(
                f"{one.name} calls {parameter}.{verb}, and timers are at the edge",
                "in the cloud use @app.cloud(cron(…))",
                at=(one.file, line),
            )
        target = _value_of(named, function)
        if target is not None and target not in (state.timers or {}):
            raise Problem(
                f"{one.name}: {named} is no timer of {state.struct.__name__}",
                f"declare it with @app.edge(timer({state.struct.__name__}))",
                at=(one.file, line),
            )


def _calls(function: Callable[..., Any]) -> Iterator[tuple[str, str, str, int]]:
    """Yield each `name.after(…, timer)` and `name.cancel(timer)` of a function's text, with its line."""
    import ast  # where timers are started: most apps load without it

    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return  # no text: the call itself will tell
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner, verb = node.func.value, node.func.attr
        if verb not in VERBS or not isinstance(owner, ast.Name):
            continue
        at = VERBS.index(verb) == 0
        named = [word.value for word in node.keywords if word.arg == "function"]
        given = named[0] if named else node.args[at] if len(node.args) > at else None
        if isinstance(given, ast.Name):
            yield owner.id, verb, given.id, first + node.lineno - 1


def _value_of(name: str, function: Callable[..., Any]) -> Any:
    """Return the function that a name is at load; None where it is none, or comes to be later."""
    found = inspect.getclosurevars(function).nonlocals.get(name)
    if found is None:
        found = getattr(function, "__globals__", {}).get(name)
    return found if inspect.isroutine(found) else None
