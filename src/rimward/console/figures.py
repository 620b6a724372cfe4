"""How the console writes numbers: short, with their unit, aligned in a column."""

DASH = "–"  # noqa: RUF001  the sign for "no figure"


def count(n: float | None) -> str:
    """Return a whole number with thin groups: 1 234 567."""
    return DASH if n is None else f"{round(n):,}".replace(",", "\u2009")


def rate(per_second: float | None) -> str:
    """Return events a second, to three digits."""
    if per_second is None:
        return DASH
    return count(per_second) if per_second >= 99.5 else f"{per_second:.1f}"


def milliseconds(ns: float | None) -> str:
    """Return ns as ms, with three decimals up to 100 ms."""
    if ns is None:
        return DASH
    ms = ns / 1e6
    return f"{ms:.3f}" if ms < 100 else f"{ms:.0f}"


def duration(ns: float | None) -> str:
    """Return ns for a sentence, in its unit, to three digits."""
    if ns is None:
        return DASH
    for unit, scale in (("s", 1e9), ("ms", 1e6)):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns / 1e3:.3g} µs"


def age(seconds: float | None) -> str:
    """Return how long ago, in the unit that one would say."""
    if seconds is None:
        return DASH
    whole = max(0, round(seconds))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def size(nbytes: float | None) -> str:
    """Return bytes in the unit that keeps at most four digits."""
    if nbytes is None:
        return DASH
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= scale:
            return f"{nbytes / scale:.1f} {unit}"
    return f"{round(nbytes)} B"


def plural(n: int, one: str, many: str = "") -> str:
    """Return the number with its noun: `1 device`, `2 devices`."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"
