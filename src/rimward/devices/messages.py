"""What a client is told and tells: its settings, acknowledgements, and the messages that came."""

from asyncio import Event
from collections import deque
from collections.abc import AsyncIterator

from msgspec import Struct

from rimward.protocols.mqtt import Publish, Will

INBOX = 1024  # messages that an iterator holds; the oldest make way and are counted


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a device connects, and as whom."""

    port: int
    host: str = "127.0.0.1"
    client_id: str = ""
    version: int = 5  # 4 is MQTT 3.1.1
    keep_alive: int = 60  # seconds; 0 turns it off
    timeout: float = 10.0  # seconds that the server may take for any answer
    window: int = 64  # QoS 1 messages unacknowledged at a time, at most; the server may allow fewer
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None


class Acknowledgement(Struct, frozen=True, gc=False):
    """What the server said to a message; `code` 0 is accepted, 0x80 on is refused."""

    code: int
    reason: str

    @property
    def accepted(self) -> bool:
        """Whether the message was taken."""
        return self.code < 0x80


class Inbox(AsyncIterator[Publish]):
    """Messages of one subscription, in order; beyond `INBOX` the oldest make way and are counted."""

    def __init__(self) -> None:
        self.dropped: int = 0
        self._messages: deque[Publish] = deque()
        self._arrival = Event()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Publish) -> None:
        """Add a message."""
        if len(self._messages) >= INBOX:
            self._messages.popleft()
            self.dropped += 1
        self._messages.append(message)
        self._arrival.set()

    async def __anext__(self) -> Publish:
        """Wait for the next message, however long: bound it with `asyncio.timeout`."""
        while not self._messages:
            self._arrival.clear()
            await self._arrival.wait()
        return self._messages.popleft()
