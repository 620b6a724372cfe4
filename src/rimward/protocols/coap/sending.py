"""What an endpoint sends of its own accord: confirmable messages until acknowledged [RFC 7252 §4.2]."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from rimward.protocols.coap.codes import CON, NON
from rimward.protocols.coap.messages import Message, encode
from rimward.protocols.coap.timing import SECOND, Bounds, Timing

Fate = Literal["acknowledged", "reset", "unanswered"]
PEERS = 65_536  # whose next message id is remembered; one that is forgotten goes on anywhere
STALE = 1024  # entries of the heap that may be out of date before it is made anew


class Outstanding(Struct):
    """A confirmable message that is not acknowledged."""

    peer: Any
    mid: int
    datagram: bytes
    timeout: int  # ns until it is sent again
    left: int  # transmissions
    tag: Any  # whose fate is told


class Sending:
    """Message ids, retransmissions and NSTART for all peers of an endpoint."""

    def __init__(
        self,
        timing: Timing,
        bounds: Bounds,
        chance: Callable[[], float],
        first: int,
        outgoing: list[tuple[bytes, Any]],
    ) -> None:
        """`outgoing` gets the datagrams; see `Endpoint` for the rest."""
        self.counters: dict[str, int] = {"retransmissions": 0, "unanswered": 0, "unsent": 0}
        self.settled: Callable[[Any, Fate], None] = _ignore  # called with each tag that is not None
        self._timing = timing
        self._bounds = bounds
        self._chance = chance
        self._first = first
        self._outgoing = outgoing
        self._mids: OrderedDict[Any, int] = OrderedDict()
        self._waiting: dict[Any, deque[tuple[Message, Any]]] = {}  # for their turn, by peer
        self._active: dict[Any, int] = {}  # outstanding messages, by peer
        self._outstanding: dict[tuple[Any, int], Outstanding] = {}
        self._heap: list[tuple[int, int, Outstanding]] = []
        self._count = 0
        self._tags: OrderedDict[tuple[Any, int], Any] = OrderedDict()  # of messages that may be reset

    def __len__(self) -> int:
        return len(self._outstanding)

    def idle(self, peer: Any) -> bool:
        """Tell whether a confirmable message to the peer would leave at once."""
        return self._active.get(peer, 0) < self._timing.nstart

    def once(self, peer: Any, message: Message, tag: Any = None) -> None:
        """Send a non-confirmable message; a tag learns if the peer resets it."""
        mid = self._next_mid(peer)
        message.type, message.mid = NON, mid
        self._outgoing.append((encode(message), peer))
        if tag is not None:
            self._tags[peer, mid] = tag
            if len(self._tags) > self._bounds.outstanding:
                self._tags.popitem(last=False)

    def confirmable(self, peer: Any, message: Message, now: int, tag: Any = None) -> bool:
        """Send a confirmable message when it is its turn; False where there is no room for it."""
        if self.idle(peer) and len(self._outstanding) < self._bounds.outstanding:
            self._transmit(peer, message, now, tag)
            return True
        waiting = self._waiting.get(peer)
        if (waiting is None and self.idle(peer)) or len(waiting or ()) >= self._bounds.queued_of_peer:
            self.counters["unsent"] += 1
            return False
        self._waiting.setdefault(peer, deque()).append((message, tag))
        return True

    def _transmit(self, peer: Any, message: Message, now: int, tag: Any) -> None:
        timing, mid = self._timing, self._next_mid(peer)
        message.type, message.mid = CON, mid
        spread = 1 + self._chance() * (timing.ack_random_factor - 1)
        timeout = round(timing.ack_timeout * spread * SECOND)
        one = Outstanding(peer, mid, encode(message), timeout, timing.max_retransmit, tag)
        self._outstanding[peer, mid] = one
        self._active[peer] = self._active.get(peer, 0) + 1
        self._outgoing.append((one.datagram, peer))
        self._plan(one, now)

    def _plan(self, one: Outstanding, now: int) -> None:
        self._count += 1
        if len(self._heap) > 2 * len(self._outstanding) + STALE:
            self._heap = [entry for entry in self._heap if self._is_due(entry[2])]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (now + one.timeout, self._count, one))

    def _is_due(self, one: Outstanding) -> bool:
        return self._outstanding.get((one.peer, one.mid)) is one

    def _next_mid(self, peer: Any) -> int:
        """Return a message id that this peer has not seen for long [§4.4]."""
        mid = self._mids.pop(peer, None)
        if mid is None:
            mid = (self._first + int(self._chance() * 0x10000)) & 0xFFFF
            if len(self._mids) >= PEERS:
                self._mids.popitem(last=False)
        self._mids[peer] = (mid + 1) & 0xFFFF
        return mid

    def answered(self, peer: Any, mid: int, now: int, *, reset: bool) -> bool:
        """Take an acknowledgement or a reset; False where it belongs to nothing."""
        one = self._outstanding.pop((peer, mid), None)
        if one is None:
            tag = self._tags.pop((peer, mid), None) if reset else None
            if tag is not None:
                self.settled(tag, "reset")
            return tag is not None
        self._ended(one, now, "reset" if reset else "acknowledged")
        return True

    def _ended(self, one: Outstanding, now: int, fate: Fate) -> None:
        peer = one.peer
        if (left := self._active[peer] - 1) > 0:
            self._active[peer] = left
        else:
            del self._active[peer]
        if one.tag is not None:
            self.settled(one.tag, fate)
        waiting = self._waiting.get(peer)
        if waiting and fate == "unanswered":  # whoever that is, they don't hear: the rest is not sent
            self.counters["unsent"] += len(waiting)
            for _, tag in self._waiting.pop(peer):
                if tag is not None:
                    self.settled(tag, fate)
        elif waiting and self.idle(peer):
            message, tag = waiting.popleft()
            if not waiting:
                del self._waiting[peer]
            self._transmit(peer, message, now, tag)

    @property
    def deadline(self) -> int | None:
        """Monotonic ns of the next retransmission."""
        heap = self._heap
        while heap and not self._is_due(heap[0][2]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def expire(self, now: int) -> None:
        """Send again what is due, or give it up."""
        while (due := self.deadline) is not None and due <= now:
            one = heapq.heappop(self._heap)[2]
            if one.left > 0:
                one.left -= 1
                one.timeout *= 2
                self.counters["retransmissions"] += 1
                self._outgoing.append((one.datagram, one.peer))
                self._plan(one, now)
            else:
                del self._outstanding[one.peer, one.mid]
                self.counters["unanswered"] += 1
                self._ended(one, now, "unanswered")


def _ignore(tag: Any, fate: Fate) -> None:
    """Nobody wants to know."""
