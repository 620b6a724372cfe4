"""Who was let out of quarantine by a person: a file that `rimward hub release` writes and ingest reads."""

from pathlib import Path

import msgspec

from rimward.network.secretfile import write_secret

MOST = 1_000  # nodes; the oldest release gives way
_Times = dict[str, int]


class Releases:
    """The file DATA/hub/released.json: when each node was released last, wall ns."""

    def __init__(self, data: Path) -> None:
        self._path = data / "hub" / "released.json"

    def at(self, node: str) -> int:
        """Return when a node was released last, wall ns; 0: never, or nobody can tell."""
        return self._read().get(node, 0)

    def add(self, node: str, now: int) -> None:
        """Release a node.

        Raises:
            OSError: the disk refused it.
        """
        times = self._read() | {node: now}
        newest = sorted(times.items(), key=_when)[-MOST:]
        write_secret(self._path, msgspec.json.encode(dict(newest)))

    def _read(self) -> _Times:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Times)
        except (OSError, msgspec.DecodeError):
            return {}


def _when(item: tuple[str, int]) -> int:
    return item[1]
