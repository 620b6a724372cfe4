"""The TOML of `rimward node run` and `rimward hub run`: the processes' own keys, checked by their types.

What the platform decides (where files lie, which app runs, who the node is) can't be set; every other key of
the configurations can (docs/configuration.md).
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from rimward.local.errors import DevError

_T = TypeVar("_T", bound=Struct)


class BusSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody else's bus; its secret is in a file of its own."""

    url: str  # nats://host:port or tls://host:port
    credentials: str = ""  # a file with an nkey's seed (SU…), or with user:password
    ca: str = ""  # PEM of who signs its certificate; else those that the system trusts
    tls_first: bool = False


class Settings:
    """One TOML file; parts of it are taken out by whoever knows them, the rest is the process's."""

    def __init__(self, path: Path | None) -> None:
        """Read a file; None stands for an empty one.

        Raises:
            DevError: it can't be read, or is no TOML.
        """
        self._path = path
        self._rest: dict[str, Any] = {}
        if path is None:
            return
        try:
            self._rest = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise DevError(f"{path} can't be read ({error.strerror}): name another with --config") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DevError(f"{path} is no TOML: {error}: correct it") from None

    def take(self, *names: str) -> dict[str, Any]:
        """Take keys out, those that are there."""
        return {name: self._rest.pop(name) for name in names if name in self._rest}

    def bus(self) -> BusSettings | None:
        """Take the table [bus] out; paths in it are found from where the file lies.

        Raises:
            DevError: it is wrong.
        """
        table = self._rest.pop("bus", None)
        if table is None:
            return None
        found = self._convert(table, BusSettings, "bus")
        base = Path() if self._path is None else self._path.absolute().parent
        paths = {name: str(base / value) for name in ("credentials", "ca") if (value := getattr(found, name))}
        return msgspec.structs.replace(found, **paths)

    def rest(self, kind: type[_T], own: Mapping[str, Any], reserved: Iterable[str] = ()) -> _T:
        """Return a configuration of what is left and what is decided already.

        Raises:
            DevError: a key is unknown, reserved, or its value of the wrong type; it names the key.
        """
        for name in (*own, *reserved):
            if name in self._rest:
                raise DevError(f"{self._path}: {name} is not set here: leave it away")
        return self._convert({**self._rest, **own}, kind)

    def part(self, kind: type[_T], part: Mapping[str, Any], own: Mapping[str, Any]) -> _T:
        """Return a configuration of keys that were taken out and what is decided already.

        Raises:
            DevError: as `rest`.
        """
        return self._convert({**part, **own}, kind)

    def _convert(self, content: Any, kind: type[_T], at: str = "") -> _T:
        try:
            return msgspec.convert(content, kind)
        except msgspec.ValidationError as error:
            where = f" in [{at}]" if at else ""
            raise DevError(f"{self._path}{where}: {error}: docs/howto/nodes.md lists the keys") from None
