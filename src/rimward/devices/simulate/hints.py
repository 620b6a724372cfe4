"""What a number is likely to be, by the words of its field's name."""

import re
from typing import NamedTuple

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class Range(NamedTuple):
    """Where a number stays on a calm day; `kind` says how it moves."""

    low: float
    high: float
    kind: str = "wander"  # "wander", "fall" (a battery), "rise" (a counter) or "still" (an offset from zero)
    places: int = 2  # decimal places of a float


ANY = Range(0, 100)
HINTS: dict[str, Range] = {
    "celsius": Range(2, 7, places=1),
    "temperature": Range(2, 7, places=1),
    "temp": Range(2, 7, places=1),
    "fahrenheit": Range(36, 45, places=1),
    "kelvin": Range(275, 280, places=1),
    "humidity": Range(35, 65, places=1),
    "pressure": Range(990, 1030, places=1),
    "hpa": Range(990, 1030, places=1),
    "co2": Range(400, 1100, places=0),
    "ppm": Range(400, 1100, places=0),
    "lat": Range(52.40, 52.60, places=5),
    "latitude": Range(52.40, 52.60, places=5),
    "lon": Range(13.30, 13.50, places=5),
    "lng": Range(13.30, 13.50, places=5),
    "longitude": Range(13.30, 13.50, places=5),
    "altitude": Range(30, 60, places=1),
    "heading": Range(0, 359, places=0),
    "speed": Range(0, 30, places=1),
    "kmh": Range(0, 90, places=1),
    "rpm": Range(800, 2600, places=0),
    "battery": Range(20, 100, "fall", 1),
    "soc": Range(20, 100, "fall", 1),
    "volt": Range(3.4, 4.1),
    "volts": Range(3.4, 4.1),
    "voltage": Range(3.4, 4.1),
    "ampere": Range(0.1, 2),
    "amps": Range(0.1, 2),
    "current": Range(0.1, 2),
    "watt": Range(50, 1500, places=0),
    "watts": Range(50, 1500, places=0),
    "power": Range(50, 1500, places=0),
    "kwh": Range(100, 100_000, "rise", 3),
    "energy": Range(100, 100_000, "rise", 3),
    "lux": Range(100, 800, places=0),
    "decibel": Range(35, 70, places=1),
    "db": Range(35, 70, places=1),
    "rssi": Range(-85, -55, places=0),
    "ph": Range(6.5, 7.5),
    "pulse": Range(58, 95, places=0),
    "bpm": Range(58, 95, places=0),
    "percent": Range(20, 80, places=1),
    "level": Range(20, 80, places=1),
    "fraction": Range(0.2, 0.8),
    "ratio": Range(0.2, 0.8),
    "risk": Range(0.05, 0.4),
    "score": Range(0.2, 0.8),
    "weight": Range(10, 40, places=1),
    "kg": Range(10, 40, places=1),
    "distance": Range(1, 50, places=1),
    "metres": Range(1, 50, places=1),
    "meters": Range(1, 50, places=1),
    "count": Range(0, 1_000_000, "rise", 0),
    "total": Range(0, 1_000_000, "rise", 0),
    "steps": Range(0, 1_000_000, "rise", 0),
    "seq": Range(0, 1_000_000, "rise", 0),
    "number": Range(0, 1_000_000, "rise", 0),
    "n": Range(0, 1_000_000, "rise", 0),
    "x": Range(-0.1, 0.1, "still", 3),
    "y": Range(-0.1, 0.1, "still", 3),
    "z": Range(0.9, 1.1, "still", 3),
}
TEXTS: dict[str, tuple[str, ...]] = {
    "unit": ("C",),
    "status": ("ok", "ok", "ok", "warning"),
    "state": ("on", "off"),
    "mode": ("auto", "manual"),
    "color": ("green", "amber", "red"),
    "colour": ("green", "amber", "red"),
    "name": ("north", "south", "east", "west"),
    "country": ("DE", "FR", "PL"),
    "version": ("1.4.2",),
    "firmware": ("1.4.2",),
}
TIMES = {"at", "time", "timestamp", "when", "ts"}


def words(name: str) -> list[str]:
    """Return a field's name as its words, lower case: battery_pct and batteryPct are the same."""
    return [word.lower() for word in _WORDS.findall(name)]


def hint(name: str) -> Range:
    """Return where a field of that name is likely to be; the last word that is known decides."""
    whole = name.lower()
    known = [HINTS[word] for word in [*words(name), whole] if word in HINTS]
    return known[-1] if known else ANY


def texts(name: str) -> tuple[str, ...] | None:
    """Return what a text of that name is likely to say."""
    known = [TEXTS[word] for word in words(name) if word in TEXTS]
    return known[-1] if known else None
