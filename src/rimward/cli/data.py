"""Finding the data folder that a command is about."""

from pathlib import Path
from typing import Any

import msgspec

from rimward.cli.parsing import CommandError
from rimward.local.folder import DataFolder, alive, find


def folder_of(data: Path | None) -> DataFolder:
    """Return the folder that was named, or the nearest one.

    Raises:
        CommandError: there is none.
    """
    found = find(Path.cwd()) if data is None else data
    if found is None:
        raise CommandError(
            "no .rimward folder is here or above: start rimward dev app.py, or name a folder with --data DIR"
        )
    if not (found / "run").is_dir():
        raise CommandError(f"{found} is not a data folder of rimward dev: name one with --data DIR")
    return DataFolder(found)


def running(folder: DataFolder) -> dict[str, Any]:
    """Return what a running `rimward dev` says of itself.

    Raises:
        CommandError: none runs in the folder.
    """
    dev = read_json(folder.ready)
    if not alive(int(dev.get("pid", 0))):
        raise CommandError(f"no rimward dev runs in {folder.root}: start one with rimward dev app.py")
    return dev


def need_cloud(*packages: str) -> None:
    """Make sure that what the cloud extra brings is here.

    Raises:
        CommandError: a package is not installed.
    """
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in packages):
        raise CommandError("this reads the lake and needs the cloud extra: pip install 'rimward[cloud]'")


def read_json(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; empty where there is none or it makes no sense."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}
