"""An app with settings, commands to devices, state that expires and an async cloud function."""

import asyncio

from msgspec import Struct

from rimward import App, Device, State, States, http, mqtt


class Settings(Struct, frozen=True):
    greeting: str = "hello"


app = App("doors", compat="2026-11-01", config=Settings)


@app.fact(name="entries")
class Entered(Struct):
    door: str
    card: str


@app.state(key="door", durable=True, expires="1h")
class Door(Struct):
    card: str | None = None


class Card(Struct):
    number: str


class Opened(Struct):
    seconds: int


@app.edge(mqtt("doors/{door}/card"))
async def knock(door: str, card: Card, state: State[Door], device: Device) -> None:
    opened = await device.command("open", {"card": card.number}, timeout="5s", reply=Opened)
    if opened.seconds > 0:
        state.value.card = card.number
        app.forward(Entered(door, card.number))


@app.edge(http.get("/greeting"))
def greet(settings: Settings, doors: States[Door]) -> str:
    return " ".join([settings.greeting, *sorted(key for key, _ in doors.items())])


logged: list[tuple[str, str]] = []


@app.cloud(Entered)
async def log(entry: Entered, settings: Settings) -> None:
    await asyncio.sleep(0)
    logged.append((settings.greeting, entry.card))
