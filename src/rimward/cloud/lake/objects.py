"""A lake in an object store: S3 and what speaks its language, Azure, Google; whatever object_store can reach.

delta-rs commits by put-if-absent; `excludes` asks the store whether it knows it. The same options serve both.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from rimward.cloud.lake.storage import SECRET, NoLake, Storage

CLIENT = ("allow_http", "allow_invalid_certificates", "connect_timeout", "proxy_url", "timeout", "user_agent")
PROBE = "_probe"


class ObjectStore(Storage):
    """A lake under a URL; each file's name goes below its prefix."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """`options` are object_store's, by its names; what isn't there it takes from the environment.

        Raises:
            NoLake: the address or an option is none that object_store knows.
        """
        self._url = url.rstrip("/")
        self.options: Mapping[str, str] = dict(options)
        client = {name: value for name, value in options.items() if name in CLIENT}
        config: Any = {name: value for name, value in options.items() if name not in CLIENT}
        try:
            self._store: Any = from_url(self._url, config=config, client_options=_typed(client))
        except (BaseError, ValueError) as error:
            raise NoLake(f"lake.url: {self._url}: {type(error).__name__}") from None  # its text may hold keys

    def __repr__(self) -> str:
        told = {
            name: "…" if any(word in name.lower() for word in SECRET) else value
            for name, value in self.options.items()
        }
        return f"{self._url} {told}"

    def uri(self, table: str) -> str:
        """Return a table's address."""
        return f"{self._url}/{table}"

    def tables(self) -> list[str]:
        """Return the names below the prefix that have a log."""
        listed = obstore.list_with_delimiter(self._store)
        names = (str(prefix).rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"])
        return sorted(name for name in names if self._any(f"{name}/_delta_log/"))

    def has(self, name: str) -> bool:
        """Ask for the object's head."""
        try:
            obstore.head(self._store, name)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> bytes | None:
        """Get the object."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Put the object, if there is none; a store that knows no condition has one writer (`SoleWriter`)."""
        try:
            return self._create(name, data)
        except NotImplementedError:
            if self.has(name):
                return False
            self.put(name, data)
            return True

    def _create(self, name: str, data: bytes) -> bool:
        """Put the object, if there is none.

        Raises:
            NotImplementedError: the store knows no such condition.
        """
        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def put(self, name: str, data: bytes) -> None:
        """Put the object."""
        obstore.put(self._store, name, data, use_multipart=False)

    def excludes(self) -> bool:
        """Put the same object twice: a store without put-if-absent takes both, or refuses to try."""
        name = f"{PROBE}/{secrets.token_hex(8)}"
        try:
            first, second = self._create(name, b"1"), self._create(name, b"2")
        except NotImplementedError:
            return False
        obstore.delete(self._store, name)
        return first and not second

    def _any(self, prefix: str) -> bool:
        return any(batch for batch in obstore.list(self._store, prefix, chunk_size=1))


def _typed(options: dict[str, str]) -> Any:
    """Return the client's options as obstore takes them: switches are no text there."""
    words = {"true": True, "false": False}
    return {name: words.get(value.lower(), value) for name, value in options.items()}
