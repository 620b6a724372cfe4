"""Geofence: a vehicle that enters or leaves a place is told so at once, and the cloud gets a row."""

from math import asin, cos, radians, sin, sqrt
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rimward import App, State, mqtt

app = App("geofence", compat="2026-11-01")


class Place(Struct, frozen=True):
    name: str
    lat: float  # degrees
    lon: float
    radius: float  # m


PLACES = (Place("depot", 52.520, 13.405, 250.0), Place("harbour", 53.540, 9.985, 800.0))


class Position(Struct):  # what is no position is refused before any function runs
    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]


@app.fact
class Crossing(Struct):
    vehicle: str
    place: str
    what: Literal["enter", "leave"]


@app.state(key="vehicle", durable=True)
class Vehicle(Struct):
    places: list[str] = []


def distance(here: Position, place: Place) -> float:
    """Return metres along the great circle."""
    a, b, turn = radians(here.lat), radians(place.lat), radians(place.lon - here.lon)
    return 12_742_000 * asin(sqrt(sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(turn / 2) ** 2))


@app.edge(mqtt("vehicles/{vehicle}/position"), budget="5ms")
def moved(vehicle: str, here: Position, state: State[Vehicle]) -> None:
    before = state.value.places
    now = [place.name for place in PLACES if distance(here, place) <= place.radius]
    for place in PLACES:
        if (place.name in now) == (place.name in before):
            continue
        crossing = Crossing(vehicle, place.name, "enter" if place.name in now else "leave")
        app.publish(f"vehicles/{vehicle}/crossing", crossing)
        app.forward(crossing)
    state.value.places = now
