"""An app with one function of each kind that the kit's tests need."""

import asyncio
from datetime import datetime
from typing import Literal

from msgspec import Struct

from rimward import App, Event, Reject, State, Stream, every, http, mqtt

app = App("workshop", compat="2026-11-01")


class Part(Struct):
    weight: float
    at: datetime | None = None


@app.fact(when_full="refuse")
class Weighed(Struct):
    line: str
    weight: float


@app.fact(priority="bulk")
class Beat(Struct):
    at: datetime


@app.fact
class Pace(Struct):
    line: str
    count: int


@app.state(key="line", durable=True)
class Count(Struct):
    parts: int = 0


@app.state(key="line")
class Fleeting(Struct):
    parts: int = 0


class Timed(Struct):
    at: datetime


gates: dict[str, asyncio.Event] = {}  # what async functions wait for, by line


@app.edge(mqtt("lines/{line}/weigh"))
def weigh(line: str, part: Part, count: State[Count], fleeting: State[Fleeting]) -> None:
    count.value.parts += 1
    fleeting.value.parts += 1
    app.publish(f"lines/{line}/lamp", {"parts": count.value.parts}, retain=True)
    app.forward(Weighed(line, part.weight))
    if part.weight < 0:
        raise ValueError("a part that floats")


@app.edge(mqtt("lines/{line}/wait"))
async def wait(line: str, _: bytes) -> None:
    await gates.setdefault(line, asyncio.Event()).wait()
    app.publish(f"lines/{line}/done", "waited")
    app.forward(Weighed(line, 1.0))


@app.edge(mqtt("lines/{line}/refuse/{code}"))
def refuse(line: str, code: str, _: bytes) -> None:
    codes: dict[str, Literal["busy", "conflict", "denied"]] = {
        "busy": "busy",
        "conflict": "conflict",
        "denied": "denied",
    }
    raise Reject(codes[code], f"line {line} says {code}")


@app.edge(mqtt("lines/{line}/ask"))
def ask(line: str, event: Event, _: bytes) -> dict[str, str]:
    return {"line": line, "sender": event.sender}


@app.edge(http.get("/lines/{line}"))
def parts(line: str, count: State[Count], fleeting: State[Fleeting]) -> dict[str, int]:
    if not line.isalnum():
        raise Reject("invalid", f"{line} is no line")
    return {"count": count.value.parts, "fleeting": fleeting.value.parts}


@app.edge(http.post("/parts"))
def add(part: Part, line: str = "web") -> Part:
    app.forward(Weighed(line, part.weight))
    return part


@app.edge(every("10s"))
def beat() -> None:
    app.forward(Beat(app.now()))


@app.stream(mqtt("lines/{line}/tick", time="at"))
def pace(ticks: Stream[Timed]) -> Stream[Pace]:
    windows = ticks.key_by("line").tumbling("1m", lateness="2s")
    return windows.agg(Pace, count=("at", "count")).forward()


seen: list[Weighed] = []
failures = 0  # calls of `store` that are still to fail


@app.cloud(Weighed)
def store(row: Weighed) -> None:
    global failures  # noqa: PLW0603 (the test says how often it fails)
    if failures:
        failures -= 1
        raise RuntimeError("the cloud is cloudy")
    seen.append(row)
