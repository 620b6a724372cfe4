"""`python -m rimward.edge.functions.wasm.making FOLDER`: builds and compiles what standard input lists.

It takes a core for half a minute and 400 MB, so the node has it done by a process of its own, once.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.app import App
from rimward.app.wasm import Component
from rimward.edge.functions.wasm.cache import Cache, ready
from rimward.events import LoadError

_NICE = 5  # it gives way to the process that serves the devices


class Mistake(Struct, frozen=True):
    """Why a component can't be made."""

    message: str
    file: str = ""
    line: int = 0
    cure: str = ""


def components_of(app: App) -> list[Component]:
    """Return the components that an app runs, each once."""
    found = [function.component for function in app.edge_functions if function.component is not None]
    return list(dict.fromkeys(found))


async def missing(components: Iterable[Component], folder: Path) -> list[Component]:
    """Return those that are not there yet.

    Raises:
        LoadError: wasmtime is not installed, or a file can't be read.
    """
    made = await asyncio.to_thread(_places, list(components), Cache(folder))
    return [one for one, place in made.items() if place is None]


async def make(components: Iterable[Component], folder: Path) -> dict[Component, str]:
    """Return where each component is, compiled; what is not there yet is built.

    Raises:
        LoadError: one can't be; the message names its file.
    """
    components = list(components)
    if wanted := await missing(components, folder):
        await _make_elsewhere(wanted, folder)
    made = await asyncio.to_thread(_places, components, Cache(folder))
    return {one: str(place) for one, place in made.items()}


async def _make_elsewhere(wanted: list[Component], folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await process.communicate(msgspec.json.encode(wanted))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise _error(out, wanted[0])


def make_now(component: Component, cache: Cache) -> Path:
    """Do as `make` does with one, in this process.

    Raises:
        LoadError: it can't be made.
    """
    return ready(cache, component, lambda one: _make(one, cache))


def _places(components: list[Component], cache: Cache) -> dict[Component, Path | None]:
    """Return where each is that is there; to look for it keeps it there."""
    made = {one: cache.path(one) for one in components}
    if made:
        cache.open()
    for path in filter(Path.exists, made.values()):
        os.utime(path)
    return {one: path if path.exists() else None for one, path in made.items()}


def _make(component: Component, cache: Cache) -> None:
    from rimward.edge.functions.wasm.building import build
    from rimward.edge.functions.wasm.engine import compiled

    path = Path(component.file)
    if component.kind == "component":
        wasm = path.read_bytes()
    else:
        built = cache.built(component)
        if not built.exists():
            cache.write(built, build(path))
        wasm = built.read_bytes()
    try:
        cache.write(cache.path(component), compiled(wasm))
    except LoadError as error:
        raise LoadError(error.message, file=component.file, cure=error.cure) from None


def _error(said: bytes, component: Component) -> LoadError:
    try:
        found = msgspec.json.decode(said, type=Mistake)
    except msgspec.DecodeError:
        return LoadError(
            "making its component ended the process that does", file=component.file, cure="give it memory"
        )
    return LoadError(found.message, file=found.file, line=found.line, cure=found.cure)


def main(arguments: list[str]) -> int:
    """Make all; write the first mistake to standard output."""
    os.nice(_NICE)
    cache = Cache(Path(arguments[0]))
    try:
        for component in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Component]):
            make_now(component, cache)
    except LoadError as error:
        mistake = Mistake(error.message, error.file, error.line, error.cure)
        sys.stdout.buffer.write(msgspec.json.encode(mistake))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
