"""Numbers that move as measured ones do: they wander inside a calm range and leave it now and then."""

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from rimward.devices.simulate.hints import ANY, Range, hint

PERIOD = 20  # messages from one excursion to the next
EXCURSION = 6  # messages that it lasts
FAR = 0.8  # of the calm range's width that it leads out of it
TINY = 1e-6  # how near a float comes to a bound that it may not reach


class Numbers:
    """All numbers of one kind of message of one device, each under its path."""

    def __init__(self, random: Callable[[str], Random]) -> None:
        """`random` gives each path its own."""
        self._random = random
        self._last: dict[str, float] = {}
        self._offset = random("offset").randrange(PERIOD)

    def next(self, path: str, schema: Mapping[str, Any], n: int) -> float:
        """Return the value of message `n`, within the schema's bounds."""
        whole = schema.get("type") == "integer"
        low, high = _bounds(schema, 1 if whole else TINY)
        range_ = _calm(hint(path.rpartition(".")[2]), low, high)
        value = min(max(self._move(path, range_, n), low), high)
        if step := schema.get("multipleOf"):
            value = min(max(round(value / step), _up(low / step)), _down(high / step)) * step
        if whole:
            return int(min(max(round(value), _up(low)), _down(high)))
        rounded = round(value, range_.places)
        return rounded if low <= rounded <= high and not step else value

    def _move(self, path: str, range_: Range, n: int) -> float:
        random, width = self._random(path), range_.high - range_.low
        last = self._last.get(path)
        match range_.kind:
            case "rise":
                value = (range_.low + random.random() * 10 if last is None else last) + random.randint(1, 3)
            case "fall":
                value = range_.high - random.random() * width / 10 if last is None else last
                value = range_.high if value <= range_.low else value - width / 2000
            case _:
                value = self._wander(random, range_, last, n)
        self._last[path] = value
        return value

    def _wander(self, random: Random, range_: Range, last: float | None, n: int) -> float:
        width = range_.high - range_.low
        middle = range_.low + width / 2
        if last is None:
            return middle + random.uniform(-0.25, 0.25) * width
        turn, place = divmod(n + self._offset, PERIOD)
        away = place >= PERIOD - EXCURSION and range_.kind == "wander"
        side = -1 if turn % 3 == 2 else 1  # twice above, then below
        aim = middle + side * (0.5 + FAR) * width if away else middle
        return last + (0.5 if away else 0.2) * (aim - last) + random.gauss(0, 0.04) * width


def is_bounded(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema says how large or small a number may be."""
    return any(name in schema for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))


def _bounds(schema: Mapping[str, Any], tiny: float) -> tuple[float, float]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    low = max(low, schema.get("exclusiveMinimum", -math.inf) + tiny)
    return low, min(high, schema.get("exclusiveMaximum", math.inf) - tiny)


def _calm(likely: Range, low: float, high: float) -> Range:
    """Return the likely range where the bounds have room for it, else the middle of the bounds."""
    if low <= likely.low and likely.high <= high:
        return likely
    start = low if low > -math.inf else min(ANY.low, high - 100)
    end = high if high < math.inf else max(ANY.high, low + 100)
    quarter = (end - start) / 4
    return Range(start + quarter, end - quarter, likely.kind, likely.places if quarter > 1 else 4)


def _up(value: float) -> float:
    return math.ceil(value) if math.isfinite(value) else value


def _down(value: float) -> float:
    return math.floor(value) if math.isfinite(value) else value
