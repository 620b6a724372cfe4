"""A socket whose messages are for a function: what it returns goes back, in the order of the messages.

Each message is an event of its own, decoded, dispatched and answered like a request. A refusal is told as a
problem (RFC 9457) in a text message, and the connection stays. Too many unanswered messages: no more is read.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Door, PourError, Refusal, Reply, Request, Ticket
from rimward.edge.gateways.http.problems import complete, refusal_reply
from rimward.observe import Logger, get_logger
from rimward.protocols.http import PROBLEM, HttpRequest
from rimward.protocols.websocket import WebSocketMessage

if TYPE_CHECKING:
    from rimward.edge.gateways.websocket.connection import WebSocketConnection
    from rimward.edge.gateways.websocket.topics import Topics

log: Logger = get_logger("rimward.websocket")

METHOD = "WS"
BINARY_TYPES = {  # of binary messages, by subprotocol
    "msgpack": "application/msgpack",
    "cbor": "application/cbor",
}
TEXT_TYPES = {"cloudevents.json": "application/cloudevents+json; charset=utf-8"}
SUBPROTOCOLS: tuple[str, ...] = ("json", *BINARY_TYPES, *TEXT_TYPES)
MAX_STREAMS = 8  # async iterators whose values one socket is sent at a time
_NOT_A_MESSAGES = frozenset({"accept", "content-type", "content-length", "traceparent", "idempotency-key"})


class Conversation:
    """One socket, its function and what it is owed."""

    def __init__(
        self, connection: "WebSocketConnection", door: Door, request: HttpRequest, subprotocol: str | None
    ) -> None:
        self._connection = connection
        self._door = door
        self._path, self._query = request.path, request.query
        kept = {
            name: value
            for name, value in request.headers.items()
            if name not in _NOT_A_MESSAGES and not name.startswith(("ce-", "if-"))
        }
        chosen = subprotocol or "json"
        self._text = {**kept, "content-type": TEXT_TYPES.get(chosen, "application/json")}
        self._binary = {**kept, "content-type": BINARY_TYPES.get(chosen, "application/octet-stream")}
        self._owed: deque[Ticket] = deque()  # in the order of their messages
        self._streams: set[asyncio.Task[None]] = set()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._topics: Topics | None = None
        self._topic = ""

    @property
    def busy(self) -> bool:
        """Whether answers are owed."""
        return bool(self._owed)

    def follow(self, topics: "Topics", topic: str) -> None:
        """Send the actions of a topic too."""
        self._topics, self._topic = topics, topic
        topics.add(topic, self)

    # -- a connection's handler

    def message(self, message: WebSocketMessage, now: int) -> None:
        """Run the path's function."""
        headers = self._text if message.text else self._binary
        sender = self._connection.sender
        request = Request(METHOD, self._path, self._query, headers, message.data, sender, now)
        try:
            ticket = self._not_now(message, now) or self._door.request(request)
        except Exception:  # the outermost edge: one broken message must not end the connections of others
            log.exception("a message failed inside the node")
            ticket = Ticket()
            ticket.finish(Refusal("failed", "the node failed"))
        if ticket.done and not self._owed:
            self._answer(ticket)
            return
        self._owed.append(ticket)
        if not ticket.done:
            ticket.on_done = self._done
        if len(self._owed) >= self._connection.gate.config.max_pipeline:
            self._connection.listen(again=False)

    def _not_now(self, message: WebSocketMessage, now: int) -> Ticket | None:
        """Return the refusal of a message that there is no room for."""
        admission, caller = self._connection.gate.admission, self._connection.sender.id
        if not admission.asks:
            return None
        found = admission.refuse(caller, ("ws", METHOD, self._path), len(message.data), now)
        if found is None:
            return None
        ticket = Ticket()
        ticket.finish(Refusal("busy", found.detail))
        return ticket

    def told(self, payload: bytes) -> None:
        """Send an action of the socket's topic; who reads too slowly misses it."""
        connection = self._connection
        if connection.stuck:
            connection.gate.counters["socket_actions_dropped"] += 1
            return
        try:
            payload.decode()
            text = True
        except UnicodeDecodeError:
            text = False
        connection.send(payload, text=text)

    def pause(self) -> None:
        """Ask streams for no further value, and the peer for no further message."""
        self._may_write.clear()
        self._connection.listen(again=False)

    def resume(self) -> None:
        """Go on."""
        self._may_write.set()
        self._listen_again()

    def lost(self) -> None:
        """End what has no reader any more."""
        self._owed.clear()
        if self._topics is not None:
            self._topics.remove(self._topic, self)
        for task in self._streams:
            task.cancel()

    # -- answers

    def _done(self, ticket: Ticket) -> None:
        del ticket
        owed = self._owed
        while owed and owed[0].done:
            self._answer(owed.popleft())
        self._listen_again()
        self._connection.settled()

    def _listen_again(self) -> None:
        most = self._connection.gate.config.max_pipeline
        if len(self._owed) <= most // 2 and not self._connection.stuck:
            self._connection.listen(again=True)

    def _answer(self, ticket: Ticket) -> None:
        if ticket.refusal is not None:
            self._refuse(ticket.refusal)
            return
        reply = ticket.reply
        if reply is None:
            return
        if reply.stream is not None:
            self._pour(reply)
            return
        reply = complete(reply)
        if reply.body or reply.status >= 400:
            self._send(reply.body, reply.content_type)

    def _refuse(self, refusal: Refusal) -> None:
        self._connection.gate.counters["socket_refusals"] += 1
        self._send(refusal_reply(refusal, 0).body, PROBLEM)

    def _send(self, body: bytes, content_type: str | None) -> None:
        kind = (content_type or "").lower()
        self._connection.send(body, text=kind.startswith("text/") or "json" in kind)

    # -- streams of replies

    def _pour(self, reply: Reply) -> None:
        if len(self._streams) >= MAX_STREAMS:
            self._refuse(Refusal("busy", f"{MAX_STREAMS} streams are open on this socket, the limit"))
            return
        task = asyncio.get_running_loop().create_task(self._stream(reply))
        for tasks in (self._streams, self._connection.gate.tasks):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _stream(self, reply: Reply) -> None:
        assert reply.stream is not None
        try:
            async for piece in reply.stream:
                self._send(piece.body, piece.content_type)
                await asyncio.sleep(0)  # a function that never waits must leave the others their turn
                await self._may_write.wait()
        except PourError as error:
            self._refuse(error.refusal)
        finally:
            close = getattr(reply.stream, "aclose", None)
            if close is not None:
                await _quietly(close())


async def _quietly(closing: "asyncio.Future[None]") -> None:
    try:
        await closing
    except Exception as error:  # noqa: BLE001 (a function's own clean-up; its reader is gone)
        log.warning("a stream's end raised", error=type(error).__name__)
