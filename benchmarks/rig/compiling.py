"""This checkout as it is installed: by mypyc, or as a node without anything for developers.

Each is built once for a state of the sources.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.rig.native import PEERS
from benchmarks.rig.processes import BenchError

ROOT = Path(__file__).parents[2]


@cache
def compiled_package() -> Path:
    """Return the folder with the compiled package; building it takes a minute or two.

    Raises:
        BenchError: it can't be built.
    """
    folder = PEERS / "compiled" / _digest()
    if not folder.exists():
        print("bench: compiling, which takes a minute or two", file=sys.stderr)
        shutil.rmtree(PEERS / "compiled", ignore_errors=True)
        wheels = PEERS / "compiled" / "wheel"
        uv = Path(sys.executable).with_name("uv")
        env = {**os.environ, "RIMWARD_COMPILED": "1"}
        build = [uv, "build", "-q", "--wheel", "-o", wheels, ROOT]
        made = subprocess.run(build, env=env, stdout=sys.stderr, check=False)
        if made.returncode:
            raise BenchError("the compiled wheel can't be built")
        [wheel] = wheels.glob("*.whl")
        install = [uv, "pip", "install", "-q", "--no-deps", "--compile-bytecode"]
        install += ["--python", sys.executable, "--target", folder, wheel]
        subprocess.run(install, stdout=sys.stderr, check=True)
    return folder


@cache
def node_python() -> Path:
    """Return the Python of an environment with a node's own dependencies alone, byte-compiled.

    Raises:
        BenchError: it can't be made.
    """
    folder = PEERS / "node" / _digest()
    python = folder / "bin" / "python"
    if not folder.exists():
        print("bench: installing a node", file=sys.stderr)
        shutil.rmtree(PEERS / "node", ignore_errors=True)
        PEERS.mkdir(parents=True, exist_ok=True)
        uv = Path(sys.executable).with_name("uv")
        lines = (ROOT / "requirements.lock").read_text().splitlines()
        pins = [line.removesuffix(" \\").rstrip("\\ ") for line in lines if line[:1].isalnum()]
        (PEERS / "pins.txt").write_text("\n".join(pins) + "\n")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], stdout=sys.stderr, check=True)
        install = [uv, "pip", "install", "-q", "--compile-bytecode", "--python", python]
        install += ["-c", PEERS / "pins.txt", ROOT]
        if subprocess.run(install, stdout=sys.stderr, check=False).returncode:
            shutil.rmtree(folder)
            raise BenchError("a node can't be installed")
    return python


def _digest() -> str:
    """Return what stands for the sources that the wheel is made of."""
    total = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", ROOT / "hatch_build.py", *sorted((ROOT / "src").rglob("*.py"))):
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


if __name__ == "__main__":
    print(compiled_package())
