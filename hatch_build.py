"""The compiled wheel: the same source with the fast path's packages built by mypyc.

`RIMWARD_COMPILED=1` asks for it (`./dev compile`); without it the wheel is pure Python and runs anywhere.
What is compiled lies beside its source, which `RIMWARD_PURE=1` makes Python take instead.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("rimward/protocols/mqtt", "rimward/edge/dispatch")
# Left as they are: a Protocol that is asked for at run time, a class of a built-in one, bases.
PURE = frozenset({"__init__.py", "commands.py", "packets.py", "pouring.py", "types.py"})

_BUILD = """\
import sys
from setuptools import setup
from mypyc.build import mypycify
options = ["--config-file", "", "--ignore-missing-imports", "--follow-imports=silent"]
extensions = mypycify([*options, *sys.argv[1:]], opt_level="3", debug_level="0", strip_asserts=False)
setup(name="rimward", packages=[], ext_modules=extensions, script_args=["-q", "build_ext", "--inplace"])
"""


class CompiledHook(BuildHookInterface):
    """Adds the compiled modules to the wheel where they are asked for."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return what the build needs beside hatchling."""
        return ["cbor2>=6.3", "msgspec>=0.22", "mypy[mypyc]>=1.19", "setuptools>=80"] if _asked() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a folder of its own and take what came out into the wheel."""
        if not _asked() or version == "editable":
            return
        self._folder = Path(tempfile.mkdtemp(prefix="rimward-mypyc-"))
        shutil.copytree(Path(self.root) / "src" / "rimward", self._folder / "rimward")
        files = [
            str(path.relative_to(self._folder))
            for package in PACKAGES
            for path in sorted((self._folder / package).glob("*.py"))
            if path.name not in PURE
        ]
        subprocess.run([sys.executable, "-c", _BUILD, *files], cwd=self._folder, check=True)
        shutil.rmtree(self._folder / "build")
        for made in self._folder.rglob("*.so"):
            build_data["force_include"][str(made)] = str(made.relative_to(self._folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Forget the folder."""
        del version, build_data, artifact_path
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder)


def _asked() -> bool:
    return os.environ.get("RIMWARD_COMPILED") == "1"
