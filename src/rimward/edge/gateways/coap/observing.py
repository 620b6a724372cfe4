"""Observe [RFC 7641]: a request is repeated when what it reads has changed, and its new answer is sent.

What has changed is told by dispatch: the cells that the GET function asks for, once a call's change to them
has committed, and the topic of the path's name, when a function publishes to it. An answer that is the same
as the last is not sent.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.edge.access import Action
from rimward.edge.dispatch.types import Request, Ticket, Watched
from rimward.edge.gateways.coap.answers import Answer, answer_of, tag
from rimward.edge.gateways.coap.callers import Callers
from rimward.edge.gateways.coap.config import CoapConfig
from rimward.edge.gateways.coap.cutting import Cutter
from rimward.edge.gateways.coap.incoming import Incoming
from rimward.edge.gateways.coap.trust import Trust
from rimward.edge.gateways.turns import Turns
from rimward.observe import Logger, get_logger
from rimward.protocols.coap import CoapError, Message, Observer, Observers, uint_bytes
from rimward.protocols.coap import codes as c
from rimward.protocols.coap import options as opt

log: Logger = get_logger("rimward.coap")


class Repeated(Struct, eq=False):
    """What is repeated for an observer."""

    incoming: Incoming
    request: Request
    last: int = 0  # hash of the last answer


class Observing:
    """Every observation, from registration to its end."""

    loop: Turns

    def __init__(
        self,
        door: Watched,
        config: CoapConfig,
        cutter: Cutter,
        trust: Trust,
        callers: Callers,
        clock: Callable[[], int],
    ) -> None:
        """`clock` is monotonic ns."""
        self.observers: Observers = Observers(config.observe)
        self._callers = callers
        self._door = door
        self._config = config
        self._cutter = cutter
        self._trust = trust
        self._clock = clock
        self._dirty: dict[Observer, None] = {}
        self._scheduled = False

    def begin(self, incoming: Incoming, request: Request) -> Observer | None:
        """Watch what a request reads; None where it can't be observed, and is answered as any other.

        It counts once `add` has taken it.

        Raises:
            CoapError: 4.01 or 4.03, its peer may not observe this.
        """
        observers, token = self.observers, incoming.message.token
        known = observers.find(incoming.key, token)
        self._callers.check(incoming, Action.OBSERVE, request.path)
        if not (observers.room(incoming.key) if known is None else _is_of(known, incoming)):
            observers.counters["refused"] += 1
            return None
        observer = Observer(incoming.key, token, Repeated(incoming, request), _nothing)
        stop = self._door.watch(request, lambda: self.changed(observer))
        if stop is None:
            return None
        observer.stop = stop
        return observer

    def add(self, observer: Observer, answer: Answer, now: int) -> None:
        """Take an observation that was answered well, and number its first answer."""
        repeated: Repeated = observer.request
        repeated.last = _hash_of(answer)
        self.observers.add(observer, now)
        number = (opt.OBSERVE, uint_bytes(observer.next_sequence()))
        answer.options = sorted([*answer.options, number], key=lambda option: option[0])
        if observer.dirty:
            self.changed(observer)

    def end(self, incoming: Incoming) -> None:
        """End the observation that a request asks to end, where it is its sender's own."""
        known = self.observers.find(incoming.key, incoming.message.token)
        if known is not None and _is_of(known, incoming):
            self.cancel(incoming.key, incoming.message.token)

    def cancel(self, key: Any, token: bytes) -> None:
        """End an observation that its peer has no interest in any more."""
        if self.observers.drop(key, token) is not None:
            self.observers.counters["cancelled"] += 1

    def leave(self, key: Any) -> None:
        """End all observations of a peer."""
        for observer in self.observers:
            if observer.peer == key:
                self.cancel(key, observer.token)

    def stop(self) -> None:
        """End all observations."""
        for observer in self.observers:
            self.observers.drop(observer.peer, observer.token)

    def settled(self, observer: Observer, fate: str) -> None:
        """Learn what became of a notification."""
        observer.waits = False
        if fate == "acknowledged":
            self._trust.verify(observer.peer, self._clock())
            if observer.dirty:
                self.changed(observer)
        elif fate == "reset":
            self.cancel(observer.peer, observer.token)
        else:
            self.leave(observer.peer)

    def wake(self, key: Any) -> None:
        """A peer can take notifications again."""
        for observer in self.observers:
            if observer.peer == key and observer.dirty:
                self.changed(observer)

    def changed(self, observer: Observer) -> None:
        """Repeat its request when the present turn is over, once for all that changes in it."""
        observer.dirty = True
        self._dirty[observer] = None
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._repeat_all)

    def _repeat_all(self) -> None:
        self._scheduled = False
        observers, self._dirty = list(self._dirty), {}
        for observer in observers:
            if self.observers.holds(observer) and not observer.waits and not observer.running:
                self._repeat(observer)

    def _repeat(self, observer: Observer) -> None:
        repeated: Repeated = observer.request
        try:
            self._check(repeated)
        except CoapError as error:
            self._send(observer, Answer(error.answer, [], error.detail.encode()))
            return
        observer.dirty, observer.running = False, True
        request = repeated.request
        again = Request(
            request.method, request.path, request.query, request.headers, request.body, request.sender,
            self._clock(),
        )  # fmt: skip
        try:
            ticket = self._door.request(again)
        except Exception:  # the outermost edge: one broken request must not end the observations of others
            log.exception("a repeated request failed inside the node")
            observer.running = False
            return
        if ticket.done:
            self._repeated(observer, ticket)
        else:
            ticket.on_done = lambda done: self._repeated(observer, done)

    def _check(self, repeated: Repeated) -> None:
        """Ask at delivery too whether the peer may hear it: the rules may have changed."""
        incoming, request = repeated.incoming, repeated.request
        self._callers.check(incoming, Action.REQUEST, f"{request.method} {request.path}")
        self._callers.check(incoming, Action.OBSERVE, request.path)

    def _repeated(self, observer: Observer, ticket: Ticket) -> None:
        observer.running = False
        if not self.observers.holds(observer):
            return
        repeated: Repeated = observer.request
        answer = answer_of(ticket, repeated.incoming.method, self._config.retry_after)
        if answer.code != c.UNAVAILABLE and (mark := _hash_of(answer)) != repeated.last:
            repeated.last = mark
            self._send(observer, tag(answer, [], self._config.etag_from))
        if observer.dirty and not observer.waits:
            self.changed(observer)

    def _send(self, observer: Observer, answer: Answer) -> None:
        """Send a notification; one that is an error is the last [§3.2]."""
        repeated: Repeated = observer.request
        incoming, now = repeated.incoming, self._clock()
        confirmable = self.observers.confirms(observer, now) or not answer.good
        if answer.good:
            number = (opt.OBSERVE, uint_bytes(observer.next_sequence()))
            answer.options = [*answer.options, number]
            confirmable = confirmable or not self._trust.knows(observer.peer, incoming.peer, now)
        else:
            self.cancel(observer.peer, observer.token)
        options, payload = self._cutter.cut(incoming, answer, now)
        message = Message(answer.code, observer.token, options, payload)
        observer.waits = confirmable and not incoming.way.reliable
        if not incoming.way.notify(observer, message, confirmable=confirmable):
            observer.waits, observer.dirty, repeated.last = False, True, 0


def _is_of(observer: Observer, incoming: Incoming) -> bool:
    """Tell whether an observation is the request's sender's: an address alone can be forged."""
    return observer.request.incoming.sealed_by == incoming.sealed_by


def _hash_of(answer: Answer) -> int:
    return hash((answer.code, answer.payload))


def _nothing() -> None:
    """Nothing is watched yet."""
