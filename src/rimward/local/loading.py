"""`python -m rimward.local.loading APP`: print the app's manifest, or its mistake, as one JSON object.

Run in a process of its own, so that a file that hangs, prints or ends the interpreter hurts nobody. Packages
that only the cloud has can't be imported in it: a file that needs them on a node is found on the laptop.
"""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.loading import load_manifest
from rimward.app.manifest import encode
from rimward.events import LoadError

CLOUD = {"deltalake", "duckdb", "pyarrow", "starlette", "uvicorn"}  # what the cloud extra brings
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Mistake(Struct, frozen=True):
    """What is wrong with an app, and where."""

    message: str
    file: str = ""
    line: int = 0  # 1-based; 0 where it has none
    cure: str = ""
    code: str = "load"


class CloudOnly:
    """An import hook that says no to packages which a node does not have."""

    def __init__(self, packages: Iterable[str]) -> None:
        self._packages = frozenset(packages)
        self.refused: set[str] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave every other import to the finders after this one.

        Raises:
            ModuleNotFoundError: the package is the cloud's alone.
        """
        del path, target
        if name.partition(".")[0] in self._packages:
            self.refused.add(name)
            raise ModuleNotFoundError(f"{name} is only in the cloud", name=name)
        return None


def main() -> int:
    """Print what the app named by the first argument is, and end at once, whatever threads it has started."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what the file prints, by any way, is not the answer
    code = write_answer(sys.argv[1], answer)
    sys.stderr.flush()
    os._exit(code)


def write_answer(app: str, descriptor: int) -> int:
    """Load an app and write its manifest, or its mistake, to a descriptor; return 0 or 1."""
    hook = CloudOnly(cloud_packages(Path(app.partition(":")[0]).absolute().parent))
    sys.meta_path.insert(0, hook)
    code, data = 0, b""
    try:
        data = encode(load_manifest(app))
    except LoadError as error:
        code, data = 1, msgspec.json.encode(_mistake(error, hook))
    while data:
        data = data[os.write(descriptor, data) :]
    return code


def cloud_packages(folder: Path) -> set[str]:
    """Return the import names of what only the cloud has: its extra, and the project's group `cloud`."""
    names = set(CLOUD)
    groups = _groups(folder)
    for package in _packages(groups, "cloud") - _packages(groups, "edge") - {"rimward"}:
        names |= _import_names(package)
    return names


def _mistake(error: LoadError, hook: CloudOnly) -> Mistake:
    message, cure = error.message, error.cure
    for name in hook.refused:
        if repr(name) in message and "import" in message:
            message = f"it imports {name!r}, which only the cloud has"
            cure = "import it inside the cloud function that needs it, or in a module that only those import"
    return Mistake(message, error.file, error.line, cure, error.code)


def _groups(folder: Path) -> dict[str, Any]:
    """Return the dependency groups (PEP 735) of the nearest project from a folder upward."""
    import tomllib

    for place in (folder, *folder.parents):
        try:
            project = tomllib.loads((place / "pyproject.toml").read_text(encoding="utf-8"))
        except OSError:
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            return {}
        return project.get("dependency-groups", {})
    return {}


def _packages(groups: dict[str, Any], group: str, depth: int = 0) -> set[str]:
    found: set[str] = set()
    for entry in groups.get(group, ()):
        if isinstance(entry, dict) and depth < 10:  # PEP 735: {include-group = "…"}; a circle ends here
            found |= _packages(groups, str(entry.get("include-group")), depth + 1)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType] (TOML)
        elif isinstance(entry, str) and (match := _NAME.match(entry)):
            found.add(re.sub(r"[-_.]+", "-", match[0]).lower())
    return found


def _import_names(package: str) -> set[str]:
    """Return what a package is imported as: what it says where it is installed, and its own name."""
    from importlib.metadata import PackageNotFoundError, distribution

    names = {package.replace("-", "_")}
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return names
    tops = {file.parts[0] for file in files if file.suffix == ".py"}
    return names | {top.removesuffix(".py") for top in tops if top not in {"..", "__pycache__"}}


if __name__ == "__main__":
    sys.exit(main())
