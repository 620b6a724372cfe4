"""What an event is: its attributes, its identities, its times and the errors that speak of it."""

from rimward.events.cloudevents import CloudEvent, CloudEventError
from rimward.events.durations import Duration, nanoseconds, seconds
from rimward.events.errors import (
    CommandsFull,
    CommandTimeout,
    LoadError,
    NoNode,
    NotConnected,
    NotHere,
    OutboxBroken,
    OutboxFull,
    Reject,
    RejectCode,
    RimwardError,
    RowTooLarge,
    StateInvalid,
    StatesFull,
    StateUnreadable,
    TimersFull,
    WorkerDied,
    WorkerStopped,
)
from rimward.events.event import Event
from rimward.events.refusals import REFUSALS, Words
from rimward.events.sizes import Size, nbytes
from rimward.events.times import from_ns, to_ns
from rimward.events.traces import TraceIds, format_traceparent, parse_traceparent

__all__ = [
    "REFUSALS",
    "CloudEvent",
    "CloudEventError",
    "CommandTimeout",
    "CommandsFull",
    "Duration",
    "Event",
    "LoadError",
    "NoNode",
    "NotConnected",
    "NotHere",
    "OutboxBroken",
    "OutboxFull",
    "Reject",
    "RejectCode",
    "RimwardError",
    "RowTooLarge",
    "Size",
    "StateInvalid",
    "StateUnreadable",
    "StatesFull",
    "TimersFull",
    "TraceIds",
    "Words",
    "WorkerDied",
    "WorkerStopped",
    "format_traceparent",
    "from_ns",
    "nanoseconds",
    "nbytes",
    "parse_traceparent",
    "seconds",
    "to_ns",
]
