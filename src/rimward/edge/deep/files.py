"""The files by which the deep process speaks to the node's other processes (docs/adr/0005)."""

from pathlib import Path

from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.deep")


class NodeFiles:
    """The folder `node`: each file has one writer, and appears whole."""

    def __init__(self, data: str) -> None:
        self.folder: Path = Path(data) / "node"

    @property
    def outbox(self) -> Path:
        """The node's outbox."""
        return self.folder / "outbox.db"

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            OSError: it is not there, or can't be read.
        """
        return (self.folder / name).read_bytes()

    def there(self, name: str) -> bool:
        """Tell whether a file is there."""
        return (self.folder / name).exists()

    def write(self, name: str, data: bytes) -> bool:
        """Write a file as a whole; return whether the disk took it."""
        draft = self.folder / f".{name}.new"
        try:
            draft.write_bytes(data)
            draft.replace(self.folder / name)
        except OSError as error:  # a full disk: marks come again, status too
            log.warning("a file can't be written", file=name, error=type(error).__name__)
            return False
        return True
