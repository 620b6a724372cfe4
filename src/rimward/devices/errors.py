"""Why a device could not do what it was asked.

DeviceError
├── Unreachable   nobody answers at that address, or the connection was lost
├── Refused       the server said no, with its reason
└── Unanswered    the server is there and did not answer in time
"""

from typing import ClassVar

from rimward.events import RimwardError


class DeviceError(RimwardError):
    """Base of a device's errors."""

    code: ClassVar[str] = "device"


class Unreachable(DeviceError):
    """Nobody answers, or the connection was lost."""

    code: ClassVar[str] = "unreachable"
    retryable: ClassVar[bool] = True


class Refused(DeviceError):
    """The server refuses the connection or the subscription."""

    code: ClassVar[str] = "refused"

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason  # as on the wire, in the protocol's version


class Unanswered(DeviceError):
    """The server did not answer in time; what was published may have arrived."""

    code: ClassVar[str] = "unanswered"
    retryable: ClassVar[bool] = True
