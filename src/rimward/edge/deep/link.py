"""One connection to the bus, and the parts that live as long as it does."""

import asyncio
import contextlib
import termios
from collections.abc import Callable, Coroutine, Sequence
from fcntl import ioctl
from typing import Any, Protocol

import msgspec
from nats.aio.client import Client

from rimward.edge.deep.config import DeepConfig
from rimward.network.bus import connect, hang_up
from rimward.wire import inbox_prefix

OnError = Callable[[Exception], Coroutine[Any, Any, None]]


class Link:
    """A connection; once it is broken for whatever reason, its session ends."""

    def __init__(self, url: str, rank: int) -> None:
        self.url = url
        self.rank = rank  # in the order of preference; 0 is the best
        self.broken: asyncio.Event = asyncio.Event()
        self.why: str = ""
        self.opened: bool = False
        self.client: Client = Client()

    def drop(self, why: str) -> None:
        """End the session."""
        self.why = self.why or why
        self.broken.set()

    async def open(self, config: DeepConfig, on_error: OnError) -> None:
        """Connect; it raises what the client raises."""

        async def closed() -> None:
            self.drop("the bus closed the connection")

        async def heard(error: Exception) -> None:
            if not self.opened and isinstance(error, OSError | TimeoutError):
                raise error  # the client would try the same address for two minutes
            await on_error(error)

        self.client = await connect(
            msgspec.structs.replace(config.bus, url=self.url),
            inbox_prefix=inbox_prefix(config.node).encode(),
            closed_cb=closed,
            disconnected_cb=closed,
            error_cb=heard,
        )
        self.opened = True

    def queued(self) -> int:
        """Return the bytes that wait for the link: in the client, in the loop and in the kernel."""
        writer = getattr(self.client._transport, "_io_writer", None)  # nats has no other way to its socket
        if writer is None:
            return 0
        size = self.client.pending_data_size + writer.transport.get_write_buffer_size()
        if (socket := writer.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError, ValueError):
                size += int.from_bytes(ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)), "little")
        return size

    async def close(self) -> None:
        """End the connection; one that takes nothing any more is cut."""
        if not self.opened:
            return
        if await hang_up(self.client):
            return
        writer = getattr(self.client._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()


class Part(Protocol):
    """Something that goes on while there is a connection."""

    async def run(self, link: Link) -> None:
        """Do so until it is cancelled; an error ends the session, and the next connection begins anew."""
        ...


async def attend(link: Link, parts: Sequence[Part]) -> None:
    """Run parts until the connection breaks or one of them fails.

    Raises:
        ConnectionError: it broke.
        ExceptionGroup: parts failed.
    """
    async with asyncio.TaskGroup() as tasks:
        for part in parts:
            tasks.create_task(part.run(link))
        await link.broken.wait()
        raise ConnectionError(link.why)
