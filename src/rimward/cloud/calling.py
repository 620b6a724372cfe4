"""Calling a cloud function: its arguments from a committed row, and its run to the end."""

import asyncio
from typing import Any

from msgspec import Struct

from rimward.app import Lake
from rimward.app.functions import CloudFunction
from rimward.events import Event, to_ns


class Given(Struct, frozen=True):
    """What a call may ask for besides its rows."""

    lake: Lake
    settings: Struct | None = None  # the app's, of the type of its `config`


def call(function: CloudFunction, payload: Any, row: dict[str, Any], given: Given) -> None:
    """Call a function with a fact, or a list of facts, and wait for it; `row` is the first one's.

    It raises what the function raises.
    """
    kinds = [parameter.kind for parameter in function.plan.parameters]
    arguments = [_argument(kind, function, payload, row, given) for kind in kinds]
    if function.plan.is_async:
        asyncio.run(function.plan.function(*arguments))
    else:
        function.plan.function(*arguments)


def _argument(kind: str, function: CloudFunction, payload: Any, row: dict[str, Any], given: Given) -> Any:
    match kind:
        case "lake":
            return given.lake
        case "config":
            return given.settings
        case "event":
            return event_of(function.fact.spec.table, row)
        case _:
            return payload


def event_of(table: str, row: dict[str, Any]) -> Event:
    """Return a row as an event; its id is the same at every retry: the idempotency key."""
    return Event(
        id=f"{row['_node']}:{table}:{row['_epoch']}:{row['_seq']}",
        source=f"//{row['_site']}/{row['_node']}",
        type=table,
        subject=table,
        time=to_ns(row["_received_at"] if row["_time"] is None else row["_time"]),
        received_at=to_ns(row["_received_at"]),
        sender=row["_node"],
        protocol="lake",
        traceparent=None,
    )
