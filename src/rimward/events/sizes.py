"""Sizes as people write them: bytes as a number, or `"64 MiB"`."""

import re

Size = int | str

_SIZE = re.compile(r"([0-9]+)\s*(KiB|MiB|GiB|TiB|kB|MB|GB|TB|B)", re.ASCII)
_UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip


def nbytes(size: Size) -> int:
    """Return a size in bytes.

    Raises:
        ValueError: it is no size, or not above zero.
    """
    if isinstance(size, str):
        match = _SIZE.fullmatch(size.strip())
        if match is None:
            raise ValueError(f'{size!r} is no size, as "64MiB" is')
        size = int(match[1]) * _UNITS[match[2]]
    if isinstance(size, bool) or not isinstance(size, int) or size <= 0:  # pyright: ignore[reportUnnecessaryIsInstance] (users pass others)
        raise ValueError(f"{size!r} is no number of bytes above zero")
    return size
