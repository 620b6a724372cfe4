"""Components as they were built and compiled, in a folder, by the digest of all that they are made of.

What is compiled is code of this machine that the node loads as it is, so the folder must be its user's alone.
"""

import fcntl
import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rimward.app.wasm import Component, sources_of
from rimward.edge.functions.config import WorkersConfig
from rimward.events import LoadError

BUILDER = "0.25.1"  # of componentize-py, as the extra wasm-build pins it: a part of what is built
KEPT = 16  # files of each kind; beyond it the ones that were unused for longest are removed
WIT = Path(__file__).with_name("edge.wit")
GUEST = Path(__file__).parents[3] / "guest.py"


def user_folder() -> Path:
    """Return the folder that everything of this user shares where nothing else is said."""
    named = os.environ.get("RIMWARD_CACHE")
    if named:
        return Path(named) / "wasm"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "rimward" / "wasm"


def folder_of(config: WorkersConfig, data: str) -> Path:
    """Return where a node's components are; `data` is its folder."""
    return Path(config.components or Path(data) / "wasm")


class Cache:
    """One folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder, where it is not there.

        Raises:
            LoadError: others could write to it, and so run code as this user.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = self._folder.stat()
        except OSError as error:
            raise LoadError(
                f"components can't be kept in {self._folder} ({error.strerror})",
                cure="name another folder: RIMWARD_CACHE, or workers.components in the node's configuration",
            ) from None
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
            raise LoadError(
                f"{self._folder} has compiled code, and others than this user can write to it",
                cure=f"chown it to this user, and chmod 700 {self._folder}",
            )

    def path(self, component: Component) -> Path:
        """Return where the compiled component is, or will be.

        Raises:
            LoadError: wasmtime is not installed, or a file can't be read.
        """
        try:
            engine = version("wasmtime")
        except PackageNotFoundError:
            raise LoadError(
                'run="wasm" needs wasmtime, which is not installed',
                file=component.file,
                cure="pip install 'rimward[wasm]'",
            ) from None
        return self._folder / f"{_key(component)}-wasmtime{engine}-{platform.machine()}.cwasm"

    def built(self, component: Component) -> Path:
        """Return where the component is, or will be, that is built from a module."""
        return self._folder / f"{_key(component)}.wasm"

    def write(self, path: Path, data: bytes) -> None:
        """Write a file whole or not at all, and make room."""
        descriptor, fresh = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
        self._make_room(path.suffix)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep other processes from making something meanwhile: it may be the same, and takes memory."""
        with (self._folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _make_room(self, suffix: str) -> None:
        def used(path: Path) -> float:
            return path.stat().st_mtime

        files = sorted(self._folder.glob(f"*{suffix}"), key=used)
        for old in files[:-KEPT]:
            old.unlink(missing_ok=True)


def ready(cache: Cache, component: Component, make: Callable[[Component], None]) -> Path:
    """Return where the compiled component is, made where it is not there yet."""
    path = cache.path(component)
    cache.open()
    if not path.exists():
        with cache.alone():
            if not path.exists():
                make(component)
    os.utime(path)  # it is used: others make room
    return path


def _key(component: Component) -> str:
    """Return the digest of all that a component is made of."""
    path = Path(component.file)
    found = hashlib.sha256(component.kind.encode())
    if component.kind == "component":
        found.update(path.read_bytes())
        return found.hexdigest()[:32]
    parts = {"": path.stem.encode(), "wit": WIT.read_bytes(), "guest": GUEST.read_bytes()}
    for name, data in sorted({**parts, "builder": BUILDER.encode(), **sources_of(path)}.items()):
        found.update(f"\n{name} {len(data)}\n".encode())
        found.update(data)
    return found.hexdigest()[:32]
