"""What stands for a client's session while the client is not there."""

from rimward.protocols.mqtt.admission import SessionLimits
from rimward.protocols.mqtt.outgoing import Outgoing
from rimward.protocols.mqtt.sending import Sending


class Away(Sending):
    """Where the messages of clients go that are not there: what is not kept is dropped and counted."""

    __slots__ = ()

    def __init__(self, limits: SessionLimits, counters: dict[str, int]) -> None:
        super().__init__(limits, topics=None, counters=counters)
        self.close()
        self.dirty = True  # it has no connection to write

    def deliver(self, message: Outgoing, qos: int, now: float, *, retain: bool) -> bool:  # noqa: ARG002 (it takes none)
        """Take no message."""
        self._count("dropped_away")
        return False

    def send_plain(self, data: bytes) -> bool:  # noqa: ARG002 (it takes none)
        """Take no message."""
        self._count("dropped_away")
        return False
