"""Another version of an app, imported into fresh modules beside the one that runs.

What lies in the app's own folders is imported anew, from its source: byte code is told apart by seconds and
sizes, which two saves may share. All other modules are those that are there already.
"""

import importlib
import importlib.util
import sys
import typing
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from rimward.app.application import App
from rimward.app.describing import forget_schemas
from rimward.app.loading import FromSource, load

_OURS = frozenset({"rimward", "rimward_pytest", "rimward_supervisor"})
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Modules:
    """The modules that a fresh import has taken the place of."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._before = dict(_own(folders))

    def remove(self) -> None:
        """Forget them, so that they are imported anew."""
        for name in list(dict(_own(self._folders))):
            del sys.modules[name]
        importlib.invalidate_caches()

    def back(self) -> None:
        """Put them back: the fresh ones come to nothing."""
        self.remove()
        sys.modules.update(self._before)


def load_fresh(target: str) -> tuple[App, Modules]:
    """Load an app as `load` does, into fresh modules; where that fails all is as it was.

    Raises:
        LoadError: it is not there, does not run, has no app, or breaks a rule.
    """
    modules = Modules(folders_of(target))
    finder = _Finder(modules._folders)
    modules.remove()
    sys.meta_path.insert(0, finder)
    try:
        return load(target), modules
    except BaseException:
        modules.back()
        raise
    finally:
        sys.meta_path.remove(finder)


def folders_of(target: str) -> list[Path]:
    """Return the folders in which an app's own modules lie; none where it names no module."""
    name = target.partition(":")[0]
    if name.endswith(".py"):
        return [Path(name).resolve().parent]
    top = name.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place).resolve() for place in spec.submodule_search_locations]
    return [] if spec.origin is None else [Path(spec.origin).resolve().parent]


def forget_types() -> None:
    """Empty the caches that hold types of a version that is gone; `typing` keeps some hundred of them."""
    forget_schemas()
    for clean in getattr(typing, "_cleanups", ()):
        clean()


def _own(folders: Sequence[Path]) -> Iterator[tuple[str, ModuleType]]:
    """Yield the imported modules of which the source lies in the folders."""
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        if top in _OURS or top in sys.stdlib_module_names or top.startswith("__"):
            continue
        if any(_is_own(path, folders) for path in _paths(module)):
            yield name, module


def _paths(module: ModuleType) -> list[str]:
    """Return where a module comes from; none where it is no Python."""
    file = getattr(module, "__file__", None)
    if file is None:
        return list(getattr(module, "__path__", ()))  # a namespace
    return [file] if str(file).endswith(".py") else []


def _is_own(path: str, folders: Sequence[Path]) -> bool:
    place = Path(path)
    return _INSTALLED.isdisjoint(place.parts) and any(place.is_relative_to(folder) for folder in folders)


class _Finder:
    """Finds the modules of some folders, and has them read from their source."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave every other import to the finders after this one."""
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
            return None
        if not _is_own(spec.origin, self._folders):
            return None
        spec.loader = FromSource(name, spec.origin)
        return spec
