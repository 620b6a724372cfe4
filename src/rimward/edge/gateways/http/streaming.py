"""Answers in pieces: server-sent events, at the pace of who reads them [WHATWG HTML §9.2].

The function's next value is asked for when the caller has taken the last one, as far as the socket's buffer
goes. When the caller leaves, the function is cancelled. A silent stream tells its caller that it lives.
"""

import asyncio
from typing import TYPE_CHECKING

from rimward.edge.access import Access, Identity
from rimward.edge.dispatch.types import Piece, PourError, Reply
from rimward.edge.gateways.http.entering import renewed
from rimward.events import REFUSALS
from rimward.observe import Logger, get_logger
from rimward.protocols.http import EVENT_STREAM, HttpRequest, problem
from rimward.protocols.http.events import COMMENT, encode_event

if TYPE_CHECKING:
    from rimward.edge.gateways.http.connection import Connection

log: Logger = get_logger("rimward.http")

HEADERS = {"content-type": EVENT_STREAM, "cache-control": "no-store", "x-accel-buffering": "no"}


class Pour:
    """One answer in pieces; the gateway owns its task."""

    def __init__(
        self, connection: "Connection", request: HttpRequest, reply: Reply, identity: Identity | None
    ) -> None:
        """`identity` is who reads it; None where everybody may."""
        assert reply.stream is not None
        self._identity = identity
        self.request = request
        self.sent_at: int = 0  # monotonic ns of the last sign of life
        self._connection = connection
        self._stream = reply.stream
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._task: asyncio.Task[None] | None = None

    def begin(self, tasks: set[asyncio.Task[None]]) -> None:
        """Ask for the first value; the task is in `tasks` until it has ended."""
        task = self._task = asyncio.get_running_loop().create_task(self._run())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        task.add_done_callback(self._ended)  # also of a task that was cancelled before it began

    def may_go_on(self, access: Access) -> bool:
        """Tell whether its reader still is who it was, and may still read it."""
        if self._identity is None:
            return True
        found = renewed(access, self._identity, self.request.method, self.request.path)
        if isinstance(found, str):
            return False
        self._identity = found
        return True

    def pause(self) -> None:
        """Ask for no further value: the caller reads too slowly."""
        self._may_write.clear()

    def resume(self) -> None:
        """Go on."""
        self._may_write.set()

    def cancel(self) -> None:
        """End the function, which has no reader any more."""
        if self._task is not None:
            self._task.cancel()

    def beat(self, now: int, period: int) -> None:
        """Tell the caller that a silent stream lives; a proxy would end it."""
        if now - self.sent_at >= period and self._may_write.is_set():
            self._send(COMMENT, now)

    async def _run(self) -> None:
        connection = self._connection
        try:
            async for piece in self._stream:
                self._send(_event(piece), connection.clock())
                await asyncio.sleep(0)  # a function that never waits must leave the others their turn
                await self._may_write.wait()
        except PourError as error:
            self._send(_problem_event(error), connection.clock())
        finally:
            await self._close()

    async def _close(self) -> None:
        """End the function's iterator, so that its `finally` runs."""
        close = getattr(self._stream, "aclose", None)
        if close is None:
            return
        try:
            await close()
        except Exception as error:  # noqa: BLE001 (a function's own clean-up; its caller is gone)
            log.warning("a stream's end raised", error=type(error).__name__)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a stream broke", error=type(error).__name__)
        self._connection.poured(self.request)

    def _send(self, data: bytes, now: int) -> None:
        self.sent_at = now
        self._connection.send_piece(self.request, data)


def _event(piece: Piece) -> bytes:
    return encode_event(piece.body.decode("utf-8", "replace"), piece.id, piece.name)


def _problem_event(error: PourError) -> bytes:
    status = REFUSALS[error.refusal.kind].http
    data = problem(status, error.refusal.detail, error.refusal.kind).decode()
    return encode_event(data, None, "problem")
