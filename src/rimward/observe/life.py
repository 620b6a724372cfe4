"""Signs of life: a process that runs says so with a file's time, which a full disk takes too."""

from contextlib import suppress
from pathlib import Path

HUB = Path("hub", "alive")  # below the data folder
INGEST = "ingest"  # its process, and the first part of the names of more


def ingest_names(processes: int) -> list[str]:
    """Return the names of so many processes of ingest: ingest, ingest-2 and so on."""
    return [INGEST, *(f"{INGEST}-{number}" for number in range(2, processes + 1))]


def is_ingest(process: str) -> bool:
    """Tell whether a process of that name is one of ingest."""
    return process.partition("-")[0] == INGEST


def ingest_sign(process: str) -> Path:
    """Return the sign of life of a process of ingest, below the data folder."""
    return Path("hub", f"{process}-alive")


def live(path: Path) -> None:
    """Give a sign of life; a disk that refuses even that is told by its absence."""
    with suppress(OSError):
        path.touch()


def last_sign(path: Path) -> int | None:
    """Return the wall ns of the last sign of life; None where there was none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def halted(pid: int) -> bool:
    """Tell whether a process is there and was made to stand still, by SIGSTOP or a debugger."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"T", "t"}
    except (OSError, IndexError):
        return False
