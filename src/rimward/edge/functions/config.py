"""The workers' configuration: how many, for how long, and what a function's may do."""

import os
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from rimward.app.confine import Confine
from rimward.events import Size

LISTENER = "workers"  # the name of the Unix socket on which the node waits for the zygote
BASICS = (  # variables of the environment that the zygote keeps, and so every worker has
    "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "RIMWARD_PURE",
)  # fmt: skip
_MOST = 4
_CONFINING = ("network", "read", "write", "environment", "memory", "cpu", "processes")


class FunctionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One function's workers."""

    workers: int = 0  # 0: as for all
    network: bool | None = None  # these where they are given instead of what its decorator says (`Confine`)
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None
    environment: tuple[str, ...] | None = None
    memory: Size | None = None
    cpu: str | None = None
    processes: int | None = None

    def confine(self, declared: Confine | None) -> Confine:
        """Return what the function may do in the end."""
        return replace(declared or Confine(), **self._given())

    @property
    def confines(self) -> bool:
        """Whether it says anything of that."""
        return bool(self._given())

    def _given(self) -> dict[str, Any]:
        return {name: one for name in _CONFINING if (one := getattr(self, name)) is not None}


class WorkersConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The workers of functions that run in processes of their own."""

    each: int = 0  # of one function; 0: one less than there are processors, 1 to 4
    queue: int = 1024  # calls of one function that run or wait; one more is refused as busy
    queue_bytes: int = 32 << 20  # of their payloads
    calls: int = 1_000_000  # after which a worker is replaced
    age: float = 3600.0  # seconds after which it is
    memory: Size = "256MiB"  # that it has more than at its start, after which it is
    components: str = ""  # the folder for components, as built and compiled; by default DATA/wasm
    functions: dict[str, FunctionConfig] = field(default_factory=dict[str, FunctionConfig])  # by name

    def size(self, name: str) -> int:
        """Return how many workers a function has."""
        own = self.functions.get(name, FunctionConfig()).workers
        return own or self.each or min(_MOST, max(1, (os.cpu_count() or 1) - 1))
