"""Devices added to an access file, changed and removed, with everything else in it left as it was written.

The file is edited as text and read again: what is then not exactly what was wanted is not written. Others see
the old file or the new one, never a part; only its owner can read it.
"""

import fcntl
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from rimward.edge.access.errors import AccessError
from rimward.edge.access.file import AccessFile, Device, parse
from rimward.network.secretfile import write_secret

HEAD = "# Who may come in, and what they may do: docs/access.md. The node reads it again when it changes.\n"
_TABLE = re.compile(r"\s*\[")
_DEVICE = re.compile(r"\s*\[\[\s*device\s*\]\]")
_PART = re.compile(r"\s*\[\s*device\s*\.")
_KEYS = ("user", "password", "certificate", "token", "roles", "clients")

Change = Callable[[str, AccessFile], tuple[str, AccessFile]]  # the text and what it says, before and after


def add(device: Device) -> Change:
    """Return the change that adds a device at the end."""

    def change(text: str, file: AccessFile) -> tuple[str, AccessFile]:
        if any(one.id == device.id for one in file.device):
            raise AccessError(
                "", "", f"there is a device {device.id} already: remove it, or set its password"
            )
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return text + gap + block(device), replace(file, device=(*file.device, device))

    return change


def remove(name: str) -> Change:
    """Return the change that removes a device."""

    def change(text: str, file: AccessFile) -> tuple[str, AccessFile]:
        lines = text.splitlines(keepends=True)
        first, last = _span(lines, _index(file, name))
        left = tuple(one for one in file.device if one.id != name)
        return "".join(lines[:first] + lines[last:]), replace(file, device=left)

    return change


def rewrite(name: str, changed: Callable[[Device], Device]) -> Change:
    """Return the change that writes a device anew; comments inside its table are lost."""

    def change(text: str, file: AccessFile) -> tuple[str, AccessFile]:
        lines = text.splitlines(keepends=True)
        index = _index(file, name)
        first, last = _span(lines, index)
        device = changed(file.device[index])
        devices = (*file.device[:index], device, *file.device[index + 1 :])
        gap = [] if last == len(lines) else ["\n"]
        return "".join([*lines[:first], block(device), *gap, *lines[last:]]), replace(file, device=devices)

    return change


def edit(path: Path, change: Change) -> AccessFile:
    """Make a change and return what the file says then; a file that is not there is made.

    Raises:
        AccessError: the file, or what it would become, can't be used; nothing is written then.
    """
    path = path.resolve()
    with _alone(path):
        before = _read(path)
        try:
            text, wanted = change(before or HEAD, parse(before, str(path)))
        except AccessError as error:
            raise error if error.file else AccessError(str(path), error.place, error.rule) from None
        if parse(text, str(path)) != wanted:
            raise AccessError(
                str(path), "", "it is written in a way that can't be changed here: edit it by hand"
            )
        _write(path, text)
    return wanted


def block(device: Device) -> str:
    """Return a device as its table in the file."""
    lines = ["[[device]]", f"id = {_quoted(device.id)}"]
    for key in _KEYS:
        value: str | tuple[str, ...] | None = getattr(device, key)
        if isinstance(value, str):
            lines.append(f"{key} = {_quoted(value)}")
        elif value:
            lines.append(f"{key} = [{', '.join(map(_quoted, value))}]")
    if device.scram is not None:
        plain: dict[str, str | int] = msgspec.to_builtins(device.scram)
        pairs = [f"{key} = {_quoted(one) if isinstance(one, str) else one}" for key, one in plain.items()]
        lines.append(f"scram = {{ {', '.join(pairs)} }}")
    if device.oscore is not None:
        every: dict[str, str | None] = msgspec.to_builtins(device.oscore)
        pairs = [f"{key} = {_quoted(one)}" for key, one in every.items() if one is not None]
        lines.append(f"oscore = {{ {', '.join(pairs)} }}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Return a text as a basic string; TOML's escapes are those of JSON."""
    return msgspec.json.encode(text).decode()


def _index(file: AccessFile, name: str) -> int:
    for index, one in enumerate(file.device):
        if one.id == name:
            return index
    raise AccessError("", "", f"there is no device {name}: rimward device list shows those that there are")


def _span(lines: list[str], index: int) -> tuple[int, int]:
    """Return where the table of a device begins and ends, without the comments that lead to the next one."""
    starts = [number for number, line in enumerate(lines) if _DEVICE.match(line)]
    if index >= len(starts):
        return 0, 0
    first = last = starts[index]
    for number in range(first + 1, len(lines)):
        line = lines[number]
        if _TABLE.match(line) and not _PART.match(line):
            break
        if line.strip() and not line.lstrip().startswith("#"):
            last = number
    end = last + 1
    while end < len(lines) and not lines[end].strip():
        end += 1
    return first, end


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Keep other changes out: they wait for each other on the folder."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise AccessError(str(path), "", f"its folder can't be opened ({error.strerror})") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(str(path), "", f"it can't be read ({error})") from None


def _write(path: Path, text: str) -> None:
    try:
        write_secret(path, text.encode())
    except OSError as error:
        raise AccessError(str(path), "", f"it can't be written ({error.strerror})") from None
