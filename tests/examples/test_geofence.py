"""The geofence: what crosses a place's edge is told once, and what is no position is refused."""

from examples.geofence.app import PLACES, Crossing, Position, Vehicle, app, distance, moved

from rimward.testing import Site, effects, state

INSIDE = {"lat": 52.5201, "lon": 13.4049}
OUTSIDE = {"lat": 52.5300, "lon": 13.4049}


async def test_a_vehicle_is_told_and_reported_when_it_enters_and_when_it_leaves() -> None:
    async with Site(app) as site:
        told, vehicle = site.inbox("vehicles/7/crossing", Crossing), site.device("7")
        for position in (OUTSIDE, INSIDE, INSIDE, OUTSIDE, OUTSIDE):
            assert (await vehicle.publish("vehicles/7/position", position, qos=1)).ok
        assert told.all == [Crossing("7", "depot", "enter"), Crossing("7", "depot", "leave")]
        await site.settle()
        assert site.rows(Crossing) == told.all


async def test_a_vehicle_that_is_inside_does_not_enter_again_because_the_node_died() -> None:
    async with Site(app) as site:
        vehicle = site.device("7")
        await vehicle.publish("vehicles/7/position", INSIDE, qos=1)
        await site.kill9()
        await vehicle.publish("vehicles/7/position", INSIDE, qos=1)
        await site.settle()
        assert site.rows(Crossing) == [Crossing("7", "depot", "enter")]


async def test_a_latitude_beyond_the_pole_is_refused() -> None:
    async with Site(app) as site:
        ack = await site.device("7").publish("vehicles/7/position", {"lat": 91, "lon": 0}, qos=1)
        assert (ack.code, ack.reason) == (0x99, "Expected `float` <= 90.0 - at `$.lat`")


def test_a_jump_from_one_place_to_another_leaves_and_enters() -> None:
    depot, harbour = PLACES
    vehicle = state(Vehicle([depot.name]))
    with effects(app) as fx:
        moved("7", Position(harbour.lat, harbour.lon), vehicle)
    assert fx.forwarded == [Crossing("7", "depot", "leave"), Crossing("7", "harbour", "enter")]
    assert vehicle.value.places == ["harbour"]


def test_a_degree_of_latitude_is_111_km() -> None:
    depot = PLACES[0]
    assert round(distance(Position(depot.lat + 1, depot.lon), depot) / 1000) == 111
