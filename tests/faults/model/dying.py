"""A process's death inside one call, at a named failpoint: what follows it never happens."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

from rimward.observe.failpoints import reach as nothing


class Died(BaseException):
    """The process is dead: nobody may catch this but the test, which throws its objects away."""


@contextmanager
def dying_at(name: str | None) -> Generator[None]:
    """Let the next call that reaches a failpoint end there; None: nothing dies."""

    def reach(at: str) -> None:
        if at == name:
            raise Died(at)

    modules = [
        module
        for module in tuple(sys.modules.values())
        if module.__name__.startswith("rimward.") and getattr(module, "reach", None) is nothing
    ]
    for module in modules:
        module.__dict__["reach"] = reach
    try:
        yield
    finally:
        for module in modules:
            module.__dict__["reach"] = nothing
