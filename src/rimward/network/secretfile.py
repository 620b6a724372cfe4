"""Files that hold a secret: only their owner can read them, and they are there whole or as they were."""

import os
from pathlib import Path

from rimward.observe.disk import sync


def write_secret(path: Path, data: bytes) -> None:
    """Write a file with mode 0600, on stable storage before this returns.

    Raises:
        OSError: the disk refused it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)
