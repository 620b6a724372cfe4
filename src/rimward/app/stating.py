"""The decorators of keyed state and of its migrations, which an app and its parts have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from rimward.app.declared import MigrationDeclared, StateDeclared, check_struct, duration
from rimward.app.forms import Versions
from rimward.app.problems import Problem, caller
from rimward.events import Duration

S = TypeVar("S", bound=Struct)
M = TypeVar("M", bound=Callable[[Any], Any])


class WithStates(ABC):
    """What declares states."""

    def state(  # noqa: PLR0913 (the contract's options, each by its name)
        self,
        *,
        key: str,
        durable: bool = False,
        expires: Duration | None = None,
        name: str | None = None,
        was: str | None = None,
        version: int = 1,
        was_fields: Mapping[str, str] | None = None,
        removed: Sequence[str] = (),
    ) -> Callable[[type[S]], type[S]]:
        """Declare keyed state: one cell for each value of the capture `key`, every field with a default.

        Args:
            key: the capture that names the cell.
            durable: the cell outlives the process; the answer waits until it is on disk.
            expires: a cell that no call has changed for so long is forgotten.
            name: by which the cells are kept, instead of the class's.
            was: the name before it was renamed; its cells move at load.
            version: raised when a field's type or meaning changes; `@app.migrate` tells how.
            was_fields: of fields that were renamed, the name before; cells have both.
            removed: fields of before that cells need not keep for an older version.
        """
        lifetime = duration(expires, "state: expires", 'expires="24h"')
        if not key.isidentifier():
            raise Problem(f"state: key is {key!r}, not the name of a capture", 'write key="truck"')
        place, versions = caller(), Versions(version, was_fields or {}, frozenset(removed))

        def declare(struct: type[S]) -> type[S]:
            check_struct(struct, "state")
            self._declare(StateDeclared(struct, key, durable, lifetime, name, was, versions, *place))
            return struct

        return declare

    def migrate(self, state: type[Struct], *, version: int) -> Callable[[M], M]:
        """Declare what makes of a cell of an older version what the next version takes.

        The function takes a Struct, or a dict, and returns what the next one takes; the last one returns
        the state. It is called when a cell is read, and may ask for no effects.

        Args:
            state: the type declared with `@app.state(…, version=…)`.
            version: the version of the cells that it takes, from 1.
        """
        place = caller()

        def declare(function: M) -> M:
            self._declare(MigrationDeclared(state, version, function, *place))
            return function

        return declare

    @abstractmethod
    def _declare(self, declared: Any) -> None: ...
