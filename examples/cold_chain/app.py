"""Cold chain: what goes wrong in refrigerated trucks, and where they stop; each is told once, and kept."""

from datetime import datetime

from msgspec import Struct

from rimward import App, Fence, Lake, Reject, State, Stream, http, mqtt, timer

app = App("cold-chain", compat="2026-11-01")  # behaviour changes only when this date is moved

LIMIT = 8.0  # °C
PLACES = {  # corners as longitude and latitude; a GeoJSON Polygon will do as well
    "depot": [(13.046, 52.3975), (13.054, 52.3975), (13.054, 52.4025), (13.046, 52.4025)],
    "harbour": [(13.046, 52.4575), (13.054, 52.4575), (13.054, 52.4625), (13.046, 52.4625)],
    "market": [(13.146, 52.3975), (13.154, 52.3975), (13.154, 52.4025), (13.146, 52.4025)],
    "clinic": [(13.146, 52.4575), (13.154, 52.4575), (13.154, 52.4625), (13.146, 52.4625)],
}


class Reading(Struct):  # what a device sends; decoded and checked before any function runs
    celsius: float
    at: datetime


class Door(Struct):
    open: bool
    at: datetime


class Position(Struct):
    lon: float
    lat: float
    at: datetime


@app.fact(priority="critical", locality="eu")  # only facts cross to the cloud; each is a table in the lake
class TooWarm(Struct):
    truck: str
    celsius: float


@app.fact(priority="critical", locality="eu")
class DoorAlarm(Struct):
    what: str  # "left open" or "opened on the road"
    opened: datetime
    truck: str = ""  # a stream's key fills it in


@app.fact
class Silent(Struct):
    since: datetime
    truck: str = ""


@app.fact
class Visit(Struct):
    place: str
    at: datetime
    truck: str = ""


@app.fact
class Minute(Struct):
    truck: str
    mean: float
    highest: float


@app.state(key="truck", durable=True)  # one cell a truck, shared by every function that asks for it
class Truck(Struct):
    celsius: float | None = None
    told: bool = False  # that it is too warm


@app.edge(mqtt("trucks/{truck}/temperature", time="at"), budget="5ms")
def guard(truck: str, reading: Reading, state: State[Truck]) -> None:
    was_warm = (state.value.celsius or 0.0) > LIMIT
    state.value.celsius = reading.celsius
    if reading.celsius > LIMIT:
        app.publish(f"trucks/{truck}/chiller", {"mode": "max"})  # action: no disk, no cloud
        if not state.value.told:
            state.after("2m", still_warm)  # a pending timer is kept, through a crash too
    elif was_warm:
        app.publish(f"trucks/{truck}/chiller", {"mode": "auto"})
        state.cancel(still_warm)
        state.value.told = False


@app.edge(timer(Truck))
def still_warm(truck: str, state: State[Truck]) -> None:
    state.value.told = True
    app.forward(TooWarm(truck, state.value.celsius or 0.0))  # fact: to the cloud


# -- doors and places: patterns of several events, by the events' own times


@app.stream(mqtt("trucks/{truck}/position", time="at"))
def crossings(positions: Stream[Position]) -> Stream[Fence]:
    return positions.key_by("truck").geofence(PLACES, dwell="2m")


@app.stream(crossings)  # a stream may take what another one gives
def visits(crossings: Stream[Fence]) -> Stream[Visit]:
    return crossings.key_by("truck").filter(lambda fence: fence.what == "dwell").map(visit).forward()


def visit(fence: Fence) -> Visit:
    return Visit(fence.name, fence.at)


@app.stream(mqtt("trucks/{truck}/door", time="at"))
def left_open(doors: Stream[Door]) -> Stream[DoorAlarm]:
    doors = doors.key_by("truck")
    opened, shut = doors.filter(lambda door: door.open), doors.filter(lambda door: not door.open)
    return opened.not_followed_by(shut, within="3m", lateness="30s").map(left).forward()


def left(door: Door) -> DoorAlarm:
    return DoorAlarm("left open", door.at)


@app.edge(left_open)  # a stream is a trigger too
def buzz(truck: str, alarm: DoorAlarm) -> None:
    app.publish(f"trucks/{truck}/buzzer", {"since": alarm.opened})


@app.stream(mqtt("trucks/{truck}/door", time="at"), crossings)
def on_the_road(doors: Stream[Door], crossings: Stream[Fence]) -> Stream[DoorAlarm]:
    opened = doors.key_by("truck").filter(lambda door: door.open)
    placed = opened.asof(crossings.key_by("truck"), alarm_away, lateness="30s")
    return placed.flat_map(lambda alarms: alarms).forward()


def alarm_away(door: Door, last: Fence | None) -> list[DoorAlarm]:
    away = last is None or last.what == "exit"
    return [DoorAlarm("opened on the road", door.at)] if away else []


# -- the thermometer


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def silences(readings: Stream[Reading]) -> Stream[Silent]:
    readings = readings.key_by("truck")
    return readings.not_followed_by(readings, within="2m").map(silent).forward()


def silent(reading: Reading) -> Silent:
    return Silent(reading.at)


@app.stream(mqtt("trucks/{truck}/temperature", time="at"))
def per_minute(readings: Stream[Reading]) -> Stream[Minute]:
    minutes = readings.key_by("truck").tumbling("1m")
    return minutes.agg(Minute, mean=("celsius", "mean"), highest=("celsius", "max")).forward()


@app.edge(http.get("/trucks/{truck}"))
def latest(state: State[Truck]) -> Truck:  # returned = the reply, in the caller's protocol
    if state.value.celsius is None:
        raise Reject("not-found", "no reading from this truck yet")
    return state.value


@app.cloud(TooWarm)  # at least once; Event.id is the idempotency key
def page(alarm: TooWarm) -> None: ...


@app.cloud(Minute)
def report(rows: list[Minute], lake: Lake) -> None:
    for truck in {row.truck for row in rows}:
        warmest = lake.sql("select max(highest) as celsius from minute where truck = $truck", truck=truck)
        print(f"truck {truck}: {warmest.to_pylist()[0]['celsius']} °C at most")
