"""The app: what its files declare, put together and checked once when all of it is known."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from rimward.app.declarations import Declarations, Part
from rimward.app.declared import Declared
from rimward.app.facts import Fact
from rimward.app.functions import CloudFunction, EdgeFunction, ScheduledFunction, StreamDeclaration
from rimward.app.hooks import Hook
from rimward.app.manifest import FactSpec, FunctionSpec, Manifest
from rimward.app.problems import Problem, caller, line_of, name_of
from rimward.app.resolving import Resolved, Resolver
from rimward.app.state import StateType


class App(Declarations):
    """One application: functions at the edge and in the cloud, and the facts that may cross between them."""

    def __init__(self, name: str, *, compat: str, config: type[Struct] | None = None) -> None:
        """Name the app.

        Args:
            name: plain text.
            compat: YYYY-MM-DD; behaviour changes only when this date is moved.
            config: the type of its settings, a frozen Struct; a parameter of this type gets them.
        """
        super().__init__(name)
        _check_date(compat)
        if config is not None:
            _check_config(config)
        self.compat: str = compat
        self.config: type[Struct] | None = config
        self._parts: dict[str, tuple[Part, tuple[str, int]]] = {}
        self._resolved: Resolved | None = None

    def include(self, part: Part) -> None:
        """Take in a part: its functions run in the order of the file, at this place."""
        place = caller()
        if not isinstance(part, Part):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass modules)
            raise Problem(f"include: {name_of(part)} is not a Part", 'write part = Part("doors") in its file')
        if (other := self._parts.get(part.name)) is not None:
            again = "included twice" if other[0] is part else "the name of two parts"
            raise Problem(
                f"include: {part.name!r} is {again}, before in {line_of(other[1], place)}",
                "take one away, or rename it",
            )
        self._parts[part.name] = (part, place)
        self._declare(part)

    @property
    def facts(self) -> dict[type[Struct], Fact]:
        """The facts, by their types."""
        return self._resolve().facts

    @property
    def states(self) -> dict[type[Struct], StateType[Any]]:
        """The states, by their types."""
        return self._resolve().states

    @property
    def edge_functions(self) -> list[EdgeFunction]:
        """The functions at the edge, in the order of the file."""
        return self._resolve().edge_functions

    @property
    def cloud_functions(self) -> list[CloudFunction]:
        """The functions in the cloud that run for facts, in the order of the file."""
        return self._resolve().cloud_functions

    @property
    def scheduled_functions(self) -> list[ScheduledFunction]:
        """The functions in the cloud that run at their times."""
        return self._resolve().scheduled_functions

    @property
    def hooks(self) -> list[Hook]:
        """What runs when a node starts or stops, in the order of the file."""
        return self._resolve().hooks

    @property
    def streams(self) -> dict[Callable[..., Any], StreamDeclaration]:
        """The streams, by their functions."""
        return self._resolve().streams

    def check(self) -> None:
        """Check the whole app, once; whoever runs it asks for this first.

        Raises:
            Problem: a rule of the contract is broken.
        """
        self._resolve()

    def manifest(self, file: str = "", digest: str = "") -> Manifest:
        """Return what the other layers need to know of the app."""
        tables = {type_: fact.spec.table for type_, fact in self.facts.items()}
        specs: list[FunctionSpec] = [function.spec(tables) for function in self.edge_functions]
        specs += [stream.spec() for stream in self.streams.values()]
        specs += [function.spec() for function in (*self.cloud_functions, *self.scheduled_functions)]
        specs += [hook.spec() for hook in self.hooks]
        facts: tuple[FactSpec, ...] = tuple(fact.spec for fact in self.facts.values())
        return Manifest(self.name, self.compat, file, digest, facts, tuple(specs))

    def declared(self) -> Iterator[Declared]:
        """Yield everything that the app and its parts declare, in order."""
        for one in self._declared:
            if isinstance(one, Declarations):
                for inner in one._declared:
                    assert not isinstance(inner, Declarations)  # parts have no include
                    yield inner
            else:
                yield one

    def _declare(self, declared: Declared | Declarations) -> None:
        super()._declare(declared)
        self._resolved = None

    def _resolve(self) -> Resolved:
        if self._resolved is None:
            self._resolved = Resolver(self.config).resolve(self.declared())
        return self._resolved


def _check_date(compat: object) -> None:
    try:
        if not isinstance(compat, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", compat, re.ASCII):
            raise ValueError  # noqa: TRY301 (one way out for what is no date)
        dt.date.fromisoformat(compat)
    except ValueError:
        raise Problem(
            f"App: compat is {compat!r}, it must be a date YYYY-MM-DD", 'write compat="2026-11-01"'
        ) from None


def _check_config(config: Any) -> None:
    if not (isinstance(config, type) and issubclass(config, Struct)):
        raise Problem(
            f"App: config {name_of(config)} is not a msgspec Struct",
            "write class Settings(Struct, frozen=True)",
        )
    if not config.__struct_config__.frozen:
        raise Problem(
            f"App: config {config.__name__} can change while a function reads it",
            f"write class {config.__name__}(Struct, frozen=True)",
        )
