"""Hooks: what runs once when a node starts, before anybody is let in, and once when it stops."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar, overload

from msgspec import Struct

from rimward.app.declared import HookDeclared, Moment, duration
from rimward.app.manifest import FunctionSpec
from rimward.app.plan import Plan, Scope, make_plan, returns_something
from rimward.app.problems import Problem, place_of
from rimward.app.state import StateType
from rimward.events import Duration

F = TypeVar("F", bound=Callable[..., Any])
TIMEOUT: dict[Moment, str] = {"start": "30s", "stop": "2s"}
"""How long a hook may take; a node that stops is waited for some seconds by who stops it."""


class Hook(Struct, frozen=True):
    """A hook, checked."""

    name: str
    moment: Moment
    plan: Plan
    timeout: float  # seconds
    file: str
    line: int

    def spec(self) -> FunctionSpec:
        """Return what the manifest says of it."""
        return FunctionSpec(
            self.name, "edge", f"on_{self.moment}", None, (), batch=False, file=self.file, line=self.line
        )


def hook_of(
    one: HookDeclared, states: dict[type[Struct], StateType[Any]], config: type[Struct] | None
) -> Hook:
    """Return a declared hook as it can be run.

    Raises:
        Problem: it takes what a start has not, or returns something.
    """
    function, name = one.function, one.function.__name__
    plan = make_plan(function, Scope(f"a {one.moment}", (), config))
    for parameter in plan.parameters:
        if parameter.kind not in {"config", "states"} or (
            parameter.kind == "states" and parameter.type not in states
        ):
            raise Problem(
                f"{name} takes {parameter.name!r}, and on_{one.moment} runs for no message",
                "it may take the app's config, and States[T] of its states",
                at=function,
            )
    if returns_something(plan) or plan.streams:
        raise Problem(
            f"{name} returns a value, and behind on_{one.moment} nobody waits for one",
            "write -> None",
            at=function,
        )
    return Hook(name, one.moment, plan, one.timeout, one.file, one.line)


class WithHooks(ABC):
    """The decorators of hooks, which an app and its parts have in common."""

    @overload
    def on_start(self, function: F, /) -> F: ...
    @overload
    def on_start(self, function: None = None, /, *, timeout: Duration = ...) -> Callable[[F], F]: ...
    def on_start(
        self, function: F | None = None, /, *, timeout: Duration = TIMEOUT["start"]
    ) -> F | Callable[[F], F]:
        """Run the function once when a node starts, before anybody is let in; `async def` may wait.

        What it publishes and forwards leaves when it returns. A node of which one raises does not start.

        Args:
            function: it may take the app's config, and `States[T]`.
            timeout: longer, and the node does not start.
        """
        return self._hook("start", function, timeout)

    @overload
    def on_stop(self, function: F, /) -> F: ...
    @overload
    def on_stop(self, function: None = None, /, *, timeout: Duration = ...) -> Callable[[F], F]: ...
    def on_stop(
        self, function: F | None = None, /, *, timeout: Duration = TIMEOUT["stop"]
    ) -> F | Callable[[F], F]:
        """Run the function once when a node stops: nobody is let in any more, and devices are still there.

        The last one declared runs first. One that raises or takes too long is told and left alone. A node
        that is killed runs none.

        Args:
            function: as for `on_start`.
            timeout: the longest that it may take.
        """
        return self._hook("stop", function, timeout)

    def _hook(self, moment: Moment, function: F | None, timeout: Duration) -> F | Callable[[F], F]:
        allowed = duration(timeout, f"on_{moment}: timeout", 'timeout="2s"')
        assert allowed is not None

        def declare(function: F) -> F:
            if not callable(function) or not hasattr(function, "__name__"):  # pyright: ignore[reportUnnecessaryComparison] (users pass others)
                raise Problem(
                    f"on_{moment}: {function!r} is no function", f"write @app.on_{moment} above a function"
                )
            self._declare(HookDeclared(function, moment, allowed, *place_of(function)))
            return function

        return declare if function is None else declare(function)

    @abstractmethod
    def _declare(self, declared: Any) -> None: ...
