"""An app whose functions ask for all that differs from one run to the next."""

import asyncio
import random
import uuid
from datetime import datetime

from msgspec import Struct

from rimward import App, Event, Reject, State, Stream, every, http, mqtt

app = App("lottery", compat="2026-11-01")


class Bet(Struct):
    stake: float
    at: datetime | None = None


@app.fact
class Won(Struct):
    player: str
    prize: float
    event: str
    at: datetime


@app.fact
class Minute(Struct):
    player: str
    stakes: float


@app.state(key="player", durable=True)
class Player(Struct):
    bets: int = 0


@app.state(key="player")
class Mood(Struct):
    bets: int = 0


@app.edge(mqtt("bets/{player}"))
def bet(player: str, bet: Bet, cell: State[Player], mood: State[Mood], event: Event) -> None:
    cell.value.bets += 1
    mood.value.bets += 1
    if bet.stake < 0:
        raise Reject("invalid", f"{player} bets {bet.stake}")
    app.publish(f"players/{player}", {"bets": cell.value.bets, "mood": mood.value.bets})
    app.forward(Won(player, random.random() * bet.stake, event.id, app.now()))


@app.edge(mqtt("plain/{player}"))
def plain(player: str, bet: Bet) -> None:
    app.publish(f"plain/{player}/at", {"at": app.now(), "luck": random.random(), "stake": bet.stake})


@app.edge(mqtt("slow/{player}"))
async def slow(player: str, bet: Bet) -> None:
    await asyncio.sleep(0)
    app.publish(f"slow/{player}/done", {"stake": bet.stake})
    app.forward(Won(player, bet.stake, "slow", app.now()))


@app.edge(http.post("/tickets"))
def ticket(bet: Bet) -> dict[str, str]:
    return {"ticket": str(uuid.uuid4()), "stake": str(bet.stake)}


@app.edge(http.get("/players/{player}"))
def look(cell: State[Player]) -> Player:
    return cell.value


@app.edge(every("10s"))
def draw() -> None:
    app.publish("drawn", {"number": random.randrange(49)})


@app.stream(mqtt("bets/{player}", time="at"))
def per_minute(bets: Stream[Bet]) -> Stream[Minute]:
    placed = bets.filter(lambda bet: bet.stake > 0).key_by("player")
    return placed.tumbling("1m").agg(Minute, stakes=("stake", "sum")).forward()
