"""`RIMWARD_PURE=1`: the sources are run even where compiled modules lie beside them."""

import os
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

COMPILED = ("rimward.protocols.mqtt", "rimward.edge.dispatch")  # as hatch_build.py names them


class _Sources:
    """Finds the modules of those packages, and nothing else, by their sources."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = name.rpartition(".")[0]
        if package not in COMPILED or not path:
            return None
        return FileFinder(path[0], (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name, target)


def prefer_sources() -> None:
    """Do as the environment asks; `rimward` calls it before any other of its modules is imported."""
    if os.environ.get("RIMWARD_PURE") == "1":
        sys.meta_path.insert(0, _Sources)
