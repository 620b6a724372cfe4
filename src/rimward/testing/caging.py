"""Functions in WebAssembly in a Site: caged as on a node, but in the test's own process."""

from collections.abc import Callable
from typing import Any

from rimward.app import App, Confine
from rimward.app.functions import EdgeFunction
from rimward.edge.dispatch.failures import FarError
from rimward.edge.functions.calls import ForeignError
from rimward.edge.functions.loaded import log_of
from rimward.edge.functions.wasm.cache import Cache, user_folder
from rimward.edge.functions.wasm.making import make_now
from rimward.edge.functions.workers import limit_of
from rimward.events import WorkerStopped


class Caged:
    """One function of one start of a Site's node."""

    def __init__(self, app: App, function: EdgeFunction) -> None:
        """Make its component where it is not made yet, which takes up to a minute.

        Raises:
            LoadError: it can't be made, or wasmtime is not installed.
        """
        assert function.component is not None
        path = make_now(function.component, Cache(user_folder()))
        from rimward.edge.functions.wasm.cage import Cage, Limits

        memory = (function.confine or Confine()).memory_bytes
        names = tuple(parameter.name for parameter in function.plan.parameters)
        limits = Limits(memory, limit_of(function))
        self._cage = Cage(function.name, names, app.facts, limits, log_of(function.name))
        self._cage.open(path)
        self.call: Callable[..., Any] = self._run
        self.close: Callable[[], None] = self._cage.close

    def _run(self, *arguments: Any) -> Any:
        try:
            return self._cage.call(*arguments)
        except ForeignError as error:
            if error.stopped:
                raise WorkerStopped(str(error)) from None
            raise FarError(error.name, str(error), error.place) from None
