"""Badge door: a badge is shown, the node commands the lock to open, and the lock says whether it did."""

from typing import Literal

from msgspec import Struct

from rimward import App, CommandTimeout, Device, NotConnected, Reject, mqtt

app = App("badge-door", compat="2026-11-01")

ALLOWED = frozenset({"ada", "grace"})
PATIENCE = "2s"  # with the lock


class Badge(Struct):
    holder: str


class Answer(Struct):  # the lock's acknowledgement
    opened: bool


@app.fact(priority="critical")
class Entry(Struct):
    door: str
    holder: str
    outcome: Literal["opened", "stuck", "no answer", "not connected"]


@app.edge(mqtt("doors/{door}/badge"), timeout="10s")
async def enter(door: str, badge: Badge, device: Device) -> str:
    if device.id != door:  # a topic is what the sender writes; who it is, the node knows
        raise Reject("denied", f"{device.id} is not the door {door}")
    if badge.holder not in ALLOWED:
        raise Reject("denied", f"{badge.holder} may not enter")
    entry = Entry(door, badge.holder, "opened")
    try:  # the command leaves at once: nothing that follows takes it back
        answer = await device.command("open", {"seconds": 5}, timeout=PATIENCE, reply=Answer)
        entry.outcome = "opened" if answer.opened else "stuck"
    except CommandTimeout:  # it may have opened all the same
        entry.outcome = "no answer"
    except NotConnected:
        entry.outcome = "not connected"
    app.forward(entry)
    return entry.outcome
