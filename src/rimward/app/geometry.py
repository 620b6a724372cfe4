"""Polygons as users write them: corners, or a GeoJSON geometry (RFC 7946 3.1.6 and 3.1.7)."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias, cast

from rimward.app.steps import Rings

Shape: TypeAlias = Sequence[tuple[float, float]] | Mapping[str, Any]
MAX_CORNERS = 10_000  # of one polygon
MAX_FENCES = 100_000  # of one geofence


def rings_of(shape: Any) -> Rings:
    """Return a polygon's rings; those inside another are holes.

    Raises:
        ValueError: it is neither a list of corners nor a geometry, or has no inside.
    """
    try:
        rings = tuple(tuple(_corner(point) for point in ring) for ring in _rings(shape))
    except (TypeError, KeyError, IndexError):
        raise ValueError("it is no list of (x, y) corners and no GeoJSON geometry") from None
    corners = sum(map(len, rings))
    if not rings or any(len(set(ring)) < 3 for ring in rings):
        raise ValueError("a ring has fewer than three corners")
    if corners > MAX_CORNERS:
        raise ValueError(f"it has {corners} corners, the limit is {MAX_CORNERS}")
    return rings


def _rings(shape: Any) -> list[Any]:
    if not isinstance(shape, Mapping):
        return [shape]
    geometry = cast("Mapping[str, Any]", shape)
    if geometry["type"] == "Polygon":
        return list(geometry["coordinates"])
    if geometry["type"] == "MultiPolygon":
        return [ring for part in geometry["coordinates"] for ring in part]
    raise ValueError(f"a {geometry['type']} has no inside: write a Polygon or a MultiPolygon")


def _corner(point: Any) -> tuple[float, float]:
    x, y = float(point[0]), float(point[1])
    if not (isfinite(x) and isfinite(y)):
        raise ValueError(f"a corner is ({x}, {y})")
    return x, y
