"""Mistakes that an editor marks before anything runs: each line that ends in "# error" is reported."""

from msgspec import Struct

from rimward import App, Device, Reject, State, Stream, every, http, mqtt

app = App("mistakes", compat="2026-11-01")


class Reading(Struct):
    celsius: float


@app.fact
class Minute(Struct):
    truck: str
    mean: float


@app.state(key="truck")
class Truck(Struct):
    celsius: float = 0.0


@app.stream(mqtt("trucks/{truck}"))
def wrong_aggregate(readings: Stream[Reading]) -> Stream[Minute]:
    minutes = readings.key_by("truck").tumbling("1m")
    return minutes.agg(Minute, mean=("celsius", "avg")).forward()  # error


@app.stream(mqtt("trucks/{truck}"))
def wrong_result(readings: Stream[Reading]) -> Stream[Reading]:
    minutes = readings.key_by("truck").tumbling("1m")
    return minutes.agg(Minute, mean=("celsius", "mean")).forward()  # error


@app.stream(mqtt("trucks/{truck}"))
def wrong_field(readings: Stream[Reading]) -> Stream[Reading]:
    return readings.filter(lambda reading: reading.kelvin > 1.0)  # error


@app.edge(mqtt("trucks/{truck}"))
def misspelt(reading: Reading, state: State[Truck]) -> None:
    state.value.celcius = reading.celsius  # error
    state.value = reading  # error
    app.forward({"truck": "7", "mean": 1.0})  # error
    app.forward("too warm")  # error
    app.publish("a/b", {}, qos="1")  # error
    raise Reject("missing", "no such code")  # error


@app.edge(mqtt("trucks/{truck}"), budget=5)  # error
def bare_number(truck: str, reading: Reading) -> None: ...


@app.edge(mqtt("trucks/{truck}"), priority="urgent")  # error
def urgent(truck: str, reading: Reading) -> None: ...


@app.edge(mqtt("trucks/{truck}"), budgets="5ms")  # error
def plural(truck: str, reading: Reading) -> None: ...


@app.edge("trucks/{truck}")  # error
def no_trigger(truck: str, reading: Reading) -> None: ...


@app.edge(http.fetch("/x"))  # error
def no_method() -> None: ...


@app.edge(every("10s", once="hour"))  # error
def hourly() -> None: ...


@app.fact(priority="high")  # error
class High(Struct):
    truck: str


@app.edge(mqtt("ask"))
async def ask(device: Device, reading: Reading) -> None:
    answer = await device.command("read", timeout="1s", reply=Reading)
    print(answer.kelvin)  # error
    await device.command("read")  # error


misspelt(Reading(1.0))  # error
