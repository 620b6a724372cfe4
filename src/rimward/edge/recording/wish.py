"""Asking a node for a recording: a file in its data folder, as `rimward record` writes it.

Whoever may write into the folder may ask; the node writes the recording beside it, and nowhere else.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

FILE = Path("node", "recording.json")  # below the data folder
FOLDER = Path("recordings")  # likewise; where recordings are written
LEAST = 16 << 10  # bytes that a recording may take at least: its first line has some 4 KB
CREDENTIALS = (
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "otp",
    "passwd",
    "password",
    "pin",
    "refresh_token",
    "secret",
    "token",
)  # fields whose values are replaced in every recording


class RecordingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that a recording may be, whatever is asked for."""

    max_bytes: int = 1 << 30  # of the file
    max_seconds: float = 3600.0
    state_bytes: int = 4 << 20  # of cells and windows at its beginning; beyond it they are left out
    pending_bytes: int = 8 << 20  # that wait for the disk; what comes beyond it is dropped, and counted


class Wish(Struct, frozen=True):
    """What is wanted."""

    name: str  # of the file in `FOLDER`, without its ending
    until: int  # wall clock, ns
    max_bytes: int
    labels: tuple[str, ...] = ()  # of facts whose events' payloads may be in it
    fields: tuple[str, ...] = ()  # whose values are replaced, besides `CREDENTIALS`


def path_of(data: Path, name: str) -> Path:
    """Return where a recording of a name is."""
    return data / FOLDER / f"{name}.jsonl"


def ask(data: Path, wish: Wish) -> None:
    """Ask the node of a data folder for a recording.

    Raises:
        OSError: the disk refused it.
    """
    draft = (data / FILE).with_name(".recording.new")
    draft.write_bytes(msgspec.json.encode(wish))
    draft.replace(data / FILE)


def withdraw(data: Path) -> None:
    """Ask for no more: a recording that is on ends."""
    (data / FILE).unlink(missing_ok=True)


def read(data: Path) -> Wish | None:
    """Return what is asked for; None where nothing is, or it makes no sense."""
    try:
        wish = msgspec.json.decode((data / FILE).read_bytes(), type=Wish)
    except (OSError, msgspec.DecodeError):
        return None
    plain = wish.name.replace("-", "").replace("_", "").isalnum()
    return wish if plain else None
