"""A power cut: the disk as it is when everything is gone that was never synced.

`kill -9` can't show a missing fsync, since the page cache survives it. `Disk` builds a small library that is
preloaded into a process and copies what it syncs; after the kill, `rebuilt` makes a folder of the copies.
"""

import os
import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("powerloss.c")


def compiler() -> str | None:
    """Return the C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc")


class Disk:
    """A folder that processes write to, and what is on stable storage of it."""

    VARIABLES = ("LD_PRELOAD", "POWER_ROOT", "POWER_KEPT")

    def __init__(self, scratch: Path, root: Path) -> None:
        self.root = root
        self._kept = scratch / "kept"
        for kind in ("files", "folders"):
            (self._kept / kind).mkdir(parents=True)
        self._library = scratch / "powerloss.so"
        cc = compiler()
        assert cc is not None, "needs a C compiler (the Debian packages gcc and libc6-dev)"
        subprocess.run(
            [
                cc,
                "-O1",
                "-Wall",
                "-Werror",
                "-shared",
                "-fPIC",
                "-o",
                str(self._library),
                str(SOURCE),
                "-ldl",
            ],
            check=True,
        )

    def environment(self) -> dict[str, str]:
        """Return the environment of a process whose syncs count."""
        return os.environ | {
            "LD_PRELOAD": str(self._library),
            "POWER_ROOT": str(self.root),
            "POWER_KEPT": str(self._kept),
        }

    def adopt(self) -> None:
        """Count all that lies in the folder now as on stable storage; its processes must be dead."""
        for kind in ("files", "folders"):
            shutil.rmtree(self._kept / kind)
            (self._kept / kind).mkdir()
        for folder in (self.root, *(one for one in self.root.rglob("*") if one.is_dir())):
            lines: list[str] = []
            for child in folder.iterdir():
                inode = child.stat().st_ino
                lines.append(f"{inode} {'d' if child.is_dir() else 'f'} {child.name}\n")
                if not child.is_dir():
                    shutil.copyfile(child, self._kept / "files" / str(inode))
            (self._kept / "folders" / str(folder.stat().st_ino)).write_text("".join(lines))

    def lose_power(self) -> None:
        """Leave in the folder what was synced, and nothing else; its processes must be dead."""
        after = self.rebuilt(self.root.with_name(f"{self.root.name}.after"))
        shutil.rmtree(self.root)
        after.rename(self.root)
        self.adopt()

    def rebuilt(self, to: Path) -> Path:
        """Make `to` what `root` would be after the power came back; its processes must be dead."""
        to.mkdir()
        self._fill(to, str(self.root.stat().st_ino))
        return to

    def _fill(self, folder: Path, inode: str) -> None:
        listing = self._kept / "folders" / inode
        if not listing.exists():
            return  # its names were never synced
        for line in listing.read_text().splitlines():
            child, kind, name = line.split(" ", 2)
            if kind == "d":
                (folder / name).mkdir()
                self._fill(folder / name, child)
            else:
                kept = self._kept / "files" / child
                (folder / name).write_bytes(kept.read_bytes() if kept.exists() else b"")
