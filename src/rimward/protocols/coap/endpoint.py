"""The message layer over datagrams [RFC 7252 §4]: requests out of bytes, each once; responses that arrive.

Bytes and time go in; requests, datagrams and the next deadline come out. One endpoint serves all peers of a
socket. A duplicate is told by its sender and message id [§4.5], *and* by being the same bytes: a device that
starts anew and counts from zero again is not answered with what it asked an hour ago.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.protocols.coap.codes import ACK, CON, EMPTY, RST, FormatError
from rimward.protocols.coap.messages import Message, decode, empty, encode
from rimward.protocols.coap.options import Options
from rimward.protocols.coap.sending import Sending
from rimward.protocols.coap.timing import SECOND, Bounds, Timing

COUNTERS = (
    "datagrams", "requests", "duplicates", "malformed", "other_versions", "pings", "resets", "over_pending",
    "forgotten_early", "stray",
)  # fmt: skip


class Exchange(Struct):
    """One request and what became of it."""

    peer: Any  # the address
    message: Message | None  # None once it is answered
    digest: int  # of the datagram
    at: int  # monotonic ns
    token: bytes
    mid: int
    confirmable: bool
    acknowledged: bool = False  # by an empty message: the response goes out by itself
    answer: bytes = b""  # what is sent again for a duplicate


class Endpoint:
    """One socket's message layer."""

    def __init__(self, timing: Timing, bounds: Bounds, chance: Callable[[], float], first: int = 0) -> None:
        """`chance` gives 0 to 1 and spreads retransmissions; `first` is where message ids begin."""
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.outgoing: list[tuple[bytes, Any]] = []
        self.pending: int = 0  # requests that wait for their response
        self.sending: Sending = Sending(timing, bounds, chance, first, self.outgoing)
        self.answered: Callable[[Any, Message], None] = (
            _ignore  # called with a question's tag and its response
        )
        self._asked: OrderedDict[tuple[Any, bytes], Any] = (
            OrderedDict()
        )  # tags of questions, by peer and token
        self._bounds = bounds
        self._lifetime = round(timing.exchange_lifetime * SECOND)
        self._piggyback = round(timing.piggyback * SECOND)
        self._known: OrderedDict[tuple[Any, int], Exchange] = OrderedDict()  # the oldest first
        self._of_peer: dict[Any, OrderedDict[int, Exchange]] = {}  # the same, of each peer by message id
        self._pending_of: dict[Any, int] = {}
        self._bytes = 0
        self._held: OrderedDict[tuple[Any, int], int] = OrderedDict()  # ns at which they are acknowledged

    # -- in

    def receive(self, data: bytes, peer: Any, now: int) -> Exchange | None:
        """Take a datagram; return the request that it is, if it is a new one."""
        counters = self.counters
        counters["datagrams"] += 1
        try:
            message = decode(data)
        except FormatError as error:
            counters["malformed"] += 1
            if error.reset is not None:
                self.outgoing.append((empty(RST, error.reset), peer))
            return None
        if message is None:
            counters["other_versions"] += 1
            return None
        if message.type in {ACK, RST}:
            known = self.sending.answered(peer, message.mid, now, reset=message.type == RST)
            counters["stray"] += not known
            if known and message.type == ACK and message.code >> 5:
                self._answer(message, peer)
            return None
        if message.code >> 5 and self._answer(message, peer):
            if message.type == CON:
                self.outgoing.append((empty(ACK, message.mid), peer))
            return None
        if message.code >> 5 or message.code == EMPTY:
            self._refuse(message, peer)
            return None
        return self._request(message, data, peer, now)

    def ask(self, peer: Any, message: Message, now: int, tag: Any) -> bool:
        """Send a request with a token of its own, confirmable; False where there is no room for it.

        `answered` gets its response, `sending.settled` what becomes of the datagram.
        """
        if not self.sending.confirmable(peer, message, now, tag):
            return False
        if len(self._asked) >= self._bounds.outstanding:
            self._asked.popitem(last=False)
            self.counters["forgotten_early"] += 1
        self._asked[peer, message.token] = tag
        return True

    def _answer(self, message: Message, peer: Any) -> bool:
        """Take a response to a question of ours, by itself or with the acknowledgement [§5.2]."""
        tag = self._asked.pop((peer, message.token), None)
        if tag is not None:
            self.answered(tag, message)
        return tag is not None

    def _refuse(self, message: Message, peer: Any) -> None:
        """Reset a ping [§4.3], and a response that nobody has asked for [§4.2]."""
        self.counters["pings" if message.code == EMPTY else "stray"] += 1
        if message.type == CON:
            self.outgoing.append((empty(RST, message.mid), peer))

    def _request(self, message: Message, data: bytes, peer: Any, now: int) -> Exchange | None:
        key = (peer, message.mid)
        known, digest = self._known.get(key), hash(data)
        if known is not None and now - known.at < self._lifetime:
            if known.digest == digest:
                self._again(known)
                return None
            if known.message is not None:  # its response is still owed under this id
                self.counters["stray"] += 1
                return None
            self._forget(known)
        self.counters["requests"] += 1
        exchange = Exchange(peer, message, digest, now, message.token, message.mid, message.type == CON)
        self._remember(exchange, now)
        self._pending_of[peer] = self._pending_of.get(peer, 0) + 1
        self.pending += 1
        return exchange

    def _again(self, known: Exchange) -> None:
        self.counters["duplicates"] += 1
        if not known.confirmable:
            return
        if known.answer:
            self.outgoing.append((known.answer, known.peer))
        elif known.acknowledged:
            self.outgoing.append((empty(ACK, known.mid), known.peer))

    @property
    def full(self) -> bool:
        """Whether no further request is to be begun."""
        return self.pending > self._bounds.pending

    def crowded(self, peer: Any) -> bool:
        """Tell whether a peer has asked for more at a time than it may."""
        return self._pending_of.get(peer, 0) > self._bounds.pending_of_peer

    # -- out

    def respond(self, exchange: Exchange, code: int, options: Options, payload: bytes, now: int) -> None:
        """Answer a request: with its acknowledgement where that is still owed, else by itself [§5.2]."""
        if exchange.message is None:
            return
        self._done(exchange)
        token = exchange.token
        if exchange.confirmable and not exchange.acknowledged:
            datagram = encode(Message(code, token, options, payload, ACK, exchange.mid))
            self._keep(exchange, datagram)
            self.outgoing.append((datagram, exchange.peer))
        elif exchange.confirmable:
            self.sending.confirmable(exchange.peer, Message(code, token, options, payload), now)
        else:
            self.sending.once(exchange.peer, Message(code, token, options, payload))

    def drop(self, exchange: Exchange) -> None:
        """End a request without a response; a confirmable one is acknowledged."""
        if exchange.message is None:
            return
        self._done(exchange)
        if exchange.confirmable and not exchange.acknowledged:
            self._acknowledge(exchange)

    def reject(self, exchange: Exchange) -> None:
        """End a request with a reset [§4.2, §4.3]."""
        if exchange.message is not None:
            self._done(exchange)
            datagram = empty(RST, exchange.mid)
            self._keep(exchange, datagram)
            self.outgoing.append((datagram, exchange.peer))

    def hold(self, exchange: Exchange) -> None:
        """The response takes longer: acknowledge when it can't be waited for any more."""
        if exchange.confirmable and exchange.message is not None:
            self._held[exchange.peer, exchange.mid] = exchange.at + self._piggyback

    def _done(self, exchange: Exchange) -> None:
        exchange.message = None
        self.pending -= 1
        peer = exchange.peer
        if (left := self._pending_of[peer] - 1) > 0:
            self._pending_of[peer] = left
        else:
            del self._pending_of[peer]
        self._held.pop((peer, exchange.mid), None)

    def _acknowledge(self, exchange: Exchange) -> None:
        exchange.acknowledged = True
        self.outgoing.append((empty(ACK, exchange.mid), exchange.peer))

    # -- memory

    def _keep(self, exchange: Exchange, datagram: bytes) -> None:
        exchange.answer = datagram
        self._bytes += len(datagram)

    def _remember(self, exchange: Exchange, now: int) -> None:
        """Remember it; forget what is over, and the oldest where there is too much: a peer's own first."""
        bounds, known = self._bounds, self._known
        self.forget(now)
        own = self._of_peer.setdefault(exchange.peer, OrderedDict())
        if len(own) >= bounds.exchanges_of_peer:
            self._forget_oldest(own)
        elif len(known) >= bounds.exchanges or self._bytes > bounds.exchange_bytes:
            self._forget_oldest(known)
        known[exchange.peer, exchange.mid] = exchange
        self._of_peer.setdefault(exchange.peer, own)[exchange.mid] = exchange

    def _forget_oldest(self, among: "OrderedDict[Any, Exchange]") -> None:
        """Forget the oldest that is answered; those that are not are few, as `Bounds` say."""
        for exchange in among.values():
            if exchange.message is None:
                self.counters["forgotten_early"] += 1
                self._forget(exchange)
                return

    def _forget(self, exchange: Exchange) -> None:
        peer, mid = exchange.peer, exchange.mid
        del self._known[peer, mid]
        self._bytes -= len(exchange.answer)
        own = self._of_peer[peer]
        del own[mid]
        if not own:
            del self._of_peer[peer]

    def forget(self, now: int) -> None:
        """Forget the exchanges whose message ids may be used anew."""
        known, over = self._known, now - self._lifetime
        while known:
            exchange = next(iter(known.values()))
            if exchange.at > over or exchange.message is not None:
                return
            self._forget(exchange)

    # -- time

    @property
    def deadline(self) -> int | None:
        """Monotonic ns at which `expire` has something to do."""
        first = next(iter(self._held.values()), None)
        second = self.sending.deadline
        return second if first is None else first if second is None else min(first, second)

    def expire(self, now: int) -> None:
        """Acknowledge and send again what is due."""
        while self._held:
            key, at = next(iter(self._held.items()))
            if at > now:
                break
            del self._held[key]
            self._acknowledge(self._known[key])
        self.sending.expire(now)

    @property
    def remembered(self) -> int:
        """How many exchanges are remembered."""
        return len(self._known)


def _ignore(tag: Any, message: Message) -> None:
    """Nobody has asked."""
