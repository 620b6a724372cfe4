"""Building a component from a module: by componentize-py, in a process that sees those files alone."""

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from rimward.app.wasm import ENTRY, sources_of
from rimward.edge.functions.wasm.cache import GUEST, WIT
from rimward.events import LoadError

WORLD = "edge-function"
LONGEST = 900.0  # seconds; a core's 25 where nothing else runs
_START = "import sys, componentize_py; sys.exit(componentize_py.script())"
_FRAME = re.compile(r'File "/\d+/([\w.]+)", line (\d+)')


def build(module: Path) -> bytes:
    """Return the component of a module.

    Raises:
        LoadError: it can't be built; the message names the line of the module.
    """
    if find_spec("componentize_py") is None:
        raise LoadError(
            "it is not built yet, and componentize-py is not installed",
            file=str(module),
            cure="pip install 'rimward[wasm-build]', or build it elsewhere and write component=",
        )
    with tempfile.TemporaryDirectory(prefix="rimward-wasm-") as name:
        folder = Path(name)
        _lay_out(folder, module)
        command = [
            sys.executable, "-c", _START, "-q", "-d", str(WIT), "-w", WORLD, "componentize", ENTRY,
            "-p", str(folder / "source"), "-o", str(folder / "made.wasm"),
        ]  # fmt: skip
        environment = {"PATH": os.environ.get("PATH", ""), "VIRTUAL_ENV": str(folder / "empty")}
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, timeout=LONGEST, check=False
            )
        except subprocess.TimeoutExpired:
            raise LoadError(
                f"building it took longer than {LONGEST:g} s", file=str(module), cure="import less"
            ) from None
        if done.returncode:
            raise _mistake(module, done.stderr.decode(errors="replace"))
        return (folder / "made.wasm").read_bytes()


def _lay_out(folder: Path, module: Path) -> None:
    """Write what the builder may see: the module, those that it imports, and our end of the boundary."""
    source = folder / "source"
    (source / "rimward").mkdir(parents=True)
    (folder / "empty" / "lib" / "site-packages").mkdir(parents=True)  # else it takes what this Python has
    (source / "rimward" / "__init__.py").write_bytes(b"")
    (source / "rimward" / "guest.py").write_bytes(GUEST.read_bytes())
    entry = f"import {module.stem}\nfrom rimward.guest import serve\nWitWorld = serve({module.stem})\n"
    (source / f"{ENTRY}.py").write_text(entry)
    for name, data in sources_of(module).items():
        (source / name).write_bytes(data)


def _mistake(module: Path, said: str) -> LoadError:
    """Return what the builder says of a module that can't be imported, at its line."""
    said = said.partition("\nCaused by:")[0].strip()
    frames = [one for one in _FRAME.findall(said) if one[0] != f"{ENTRY}.py"]
    file, line = frames[-1] if frames else (module.name, "0")
    reason = said.rpartition("\n")[2].strip() or "the builder says nothing"
    return LoadError(
        f"it can't be built as a component: {reason}",
        file=str(module.with_name(file)),
        line=int(line),
        cure="a component has the standard library, but for processes, threads and sockets",
    )
