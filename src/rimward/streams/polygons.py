"""Points in polygons, even-odd, in about a microsecond however many corners there are.

A polygon's corners cut the plane into horizontal slabs; inside one no edge ends, so the edges that cross it
are in a fixed order from left to right. A point needs its slab, by bisection, and the edges there up to the
first beyond it; all of them where edges cross each other inside the slab, for they have no such order.
Coordinates are x and y on a plane: longitude and latitude serve, as long as nothing crosses the antimeridian.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

Ring: TypeAlias = Sequence[tuple[float, float]]
_Edge = tuple[float, float, float]  # a point of its line, y and x, and its slope dx/dy

FEW = 4  # polygons that are asked one after the other, without the grid
MAX_CROSSINGS = 1_000_000  # of edges with slabs, of one polygon


class Polygon:
    """One or more rings, those inside another are holes; points of the border may be in or out."""

    __slots__ = ("_crossed", "_edges", "_ys", "bounds")

    def __init__(self, rings: Sequence[Ring]) -> None:
        xs = [float(x) for ring in rings for x, _ in ring]
        ys = [float(y) for ring in rings for _, y in ring]
        self.bounds: tuple[float, float, float, float] = (min(xs), min(ys), max(xs), max(ys))
        self._ys = sorted(set(ys))
        slabs: list[list[_Edge]] = [[] for _ in self._ys]
        crossings = 0
        for ring in rings:
            for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
                crossings += self._add(slabs, (y1, x1), (y2, x2))
                if crossings > MAX_CROSSINGS:
                    raise ValueError(f"a polygon of {len(xs)} corners is too intricate: simplify it")
        self._edges = [tuple(self._sorted(index, slab)) for index, slab in enumerate(slabs)]
        self._crossed = frozenset(index for index in range(len(slabs) - 1) if self._crosses(index))

    def _add(self, slabs: list[list[_Edge]], one: tuple[float, float], two: tuple[float, float]) -> int:
        (y1, x1), (y2, x2) = sorted((one, two))
        if y1 == y2:
            return 0
        edge = (y1, x1, (x2 - x1) / (y2 - y1))
        first, last = bisect_right(self._ys, y1) - 1, bisect_right(self._ys, y2) - 1
        for slab in slabs[first:last]:
            slab.append(edge)
        return last - first

    def _sorted(self, index: int, slab: list[_Edge]) -> list[_Edge]:
        if not slab:
            return slab
        middle = (self._ys[index] + self._ys[index + 1]) / 2
        return sorted(slab, key=lambda edge: edge[1] + edge[2] * (middle - edge[0]))

    def _crosses(self, index: int) -> bool:
        """Tell whether edges change places inside a slab: they stand in another order at its borders."""
        for y in self._ys[index : index + 2]:
            xs = [x1 + slope * (y - y1) for y1, x1, slope in self._edges[index]]
            if any(right < left for left, right in pairwise(xs)):
                return True
        return False

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a point is inside."""
        left, bottom, right, top = self.bounds
        if not (left <= x <= right and bottom <= y < top):
            return False
        index = bisect_right(self._ys, y) - 1
        if index in self._crossed:
            return sum(x1 + slope * (y - y1) <= x for y1, x1, slope in self._edges[index]) % 2 == 1
        inside = False
        for y1, x1, slope in self._edges[index]:
            if x1 + slope * (y - y1) > x:
                break
            inside = not inside
        return inside


class Polygons:
    """Polygons with names; those whose bounds are far away cost nothing.

    The plane is cut into a grid of about as many fields as there are polygons.
    """

    __slots__ = (
        "_bounds",
        "_columns",
        "_few",
        "_fields",
        "_left",
        "_low",
        "_rows",
        "_tall",
        "_wide",
        "names",
    )

    def __init__(self, polygons: dict[str, Polygon]) -> None:
        self.names: tuple[str, ...] = tuple(polygons)
        bounds = [one.bounds for one in polygons.values()]
        self._left, self._low = min(b[0] for b in bounds), min(b[1] for b in bounds)
        right, high = max(b[2] for b in bounds), max(b[3] for b in bounds)
        self._bounds = (self._left, self._low, right, high)
        self._columns = self._rows = max(1, int(len(bounds) ** 0.5))
        self._wide = (right - self._left) / self._columns or 1.0
        self._tall = (high - self._low) / self._rows or 1.0
        fields: dict[tuple[int, int], list[tuple[str, Polygon]]] = {}
        for name, one in polygons.items():
            first, last = self._field(one.bounds[0], one.bounds[1]), self._field(one.bounds[2], one.bounds[3])
            for column in range(first[0], last[0] + 1):
                for row in range(first[1], last[1] + 1):
                    fields.setdefault((column, row), []).append((name, one))
        self._few = tuple(polygons.items()) if len(polygons) <= FEW else None
        self._fields = {field: tuple(found) for field, found in fields.items()}

    def _field(self, x: float, y: float) -> tuple[int, int]:
        return (
            min(int((x - self._left) / self._wide), self._columns - 1),
            min(int((y - self._low) / self._tall), self._rows - 1),
        )

    def at(self, x: float, y: float) -> list[str]:
        """Return the names of those that a point is in, in the order in which they were given."""
        left, low, right, high = self._bounds
        if not (left <= x <= right and low <= y <= high):  # NaN is nowhere
            return []
        if self._few is not None:
            return [name for name, one in self._few if one.contains(x, y)]
        found = self._fields.get(self._field(x, y), ())
        return [name for name, one in found if one.contains(x, y)]
