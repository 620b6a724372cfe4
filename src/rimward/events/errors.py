"""Every error of ours.

RimwardError
├── LoadError       the app file breaks a rule of the contract
├── NoNode          an effect was asked for where no node runs
├── OutboxFull      the outbox has no room for the fact
├── TimersFull      too many timers are pending on the node
├── StateInvalid    a call leaves a state that can't be kept
├── StateUnreadable a cell can't be read by this version of the app
├── StatesFull      a state has as many cells as it may
├── OutboxBroken    the outbox can't write to its disk
├── RowTooLarge     the fact is larger than an envelope may be
├── CommandTimeout  a device did not answer a command in time
├── NotConnected    the device is not there to take a command
├── WorkerDied      the process that ran a function died of it
│   └── WorkerStopped   it was ended, for the call took too long
├── Reject          a function refuses the message, in its caller's words
└── CloudEventError a message says it is a CloudEvent and is none (cloudevents.py)
"""

from typing import ClassVar, Literal

type_codes: tuple[str, ...] = ("invalid", "denied", "not-found", "conflict", "busy")
RejectCode = Literal["invalid", "denied", "not-found", "conflict", "busy"]


class RimwardError(Exception):
    """Base of all errors; `code` is stable, `retryable` says whether the same call may succeed later."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False


class LoadError(RimwardError):
    """An app file that can't be loaded: where, why, and what to write instead."""

    code = "load"

    def __init__(self, message: str, *, file: str = "", line: int = 0, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line  # 1-based; 0 when the mistake has no line
        self.cure = cure

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return place + self.message + (f"\n  {self.cure}" if self.cure else "")


class NoNode(RimwardError):
    """`app.publish` or `app.forward` was called outside a node."""

    code = "no-node"


class NotHere(RimwardError):
    """A verb was called in the layer that does not have it; the message names what that layer has instead."""

    code = "not-here"


class CommandsFull(RimwardError):
    """Too many commands wait for a node; the event is tried again later."""

    code = "commands-full"
    retryable = True


class OutboxFull(RimwardError):
    """The outbox has reached its cap; the message is refused and may be sent again later."""

    code = "outbox-full"
    retryable = True


class TimersFull(RimwardError):
    """Too many timers are pending on the node; the message is refused and may be sent again later."""

    code = "timers-full"
    retryable = True


class StateInvalid(RimwardError):
    """A call leaves a state with a value that can't be kept; it fails, and nothing of it is."""

    code = "state-invalid"


class StateUnreadable(RimwardError):
    """A cell can't be read by this version of the app; the call fails, and the cell is left as it is."""

    code = "state-unreadable"


class StatesFull(RimwardError):
    """A state has as many cells as it may; the message is refused and may be sent again later."""

    code = "states-full"
    retryable = True


class OutboxBroken(RimwardError):
    """The outbox's file can't be written; nothing durable is taken until the node restarts."""

    code = "outbox-broken"
    retryable = True


class RowTooLarge(RimwardError):
    """The fact is larger than an envelope may be; its event goes to the dead letters."""

    code = "row-too-large"


class CommandTimeout(RimwardError):
    """A device did not acknowledge a command in time; whether it carried it out is not known."""

    code = "command-timeout"
    retryable = True


class NotConnected(RimwardError):
    """The device is not connected, or takes no commands; nothing was sent."""

    code = "not-connected"
    retryable = True


class WorkerDied(RimwardError):
    """The process that ran a function has died; nothing of the call is kept, its event is a dead letter."""

    code = "worker-died"


class WorkerStopped(WorkerDied):
    """The process that ran a function was ended, for its call took too long."""

    code = "worker-stopped"


class Reject(RimwardError):
    """A function's refusal: each protocol says it in its own words."""

    code = "reject"

    def __init__(self, code: RejectCode, detail: str = "") -> None:
        if code not in type_codes:
            raise ValueError(f"Reject: code is {code!r}, it must be one of {', '.join(type_codes)}")
        super().__init__(f"{code}: {detail}")
        self.kind: RejectCode = code
        self.detail = detail
