"""Who observes what [RFC 7641]: a bounded list, and when a notification is confirmable."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from rimward.protocols.coap.timing import SECOND

DAY = 86_400 * SECOND
WRAP = 1 << 24


class ObserveLimits(Struct, frozen=True):
    """What observers may ask for. Times in seconds."""

    observers: int = 4096
    of_peer: int = 32
    confirm_every: int = 8  # of the notifications of a burst, one is confirmable
    quiet: float = 60.0  # after a pause of so long the next one is confirmable: the seldom ones are not lost


class Observer(Struct, eq=False):
    """One observation: a peer, and the request that is repeated for it."""

    peer: Any
    token: bytes
    request: Any  # whatever repeats it
    stop: Callable[[], None]  # ends what tells of changes
    sequence: int = 1
    since_confirmed: int = 0
    told_at: int = 0  # monotonic ns of the last notification
    confirmed_at: int = 0
    waits: bool = False  # a confirmable notification is not acknowledged
    dirty: bool = False  # it has changed since the last notification
    running: bool = False  # its request is being repeated

    def next_sequence(self) -> int:
        """Return the next notification's number [§4.4]."""
        self.sequence = (self.sequence + 1) % WRAP
        return self.sequence


class Observers:
    """All observations of a node."""

    def __init__(self, limits: ObserveLimits) -> None:
        self.counters: dict[str, int] = {"registered": 0, "refused": 0, "notifications": 0, "cancelled": 0}
        self._limits = limits
        self._quiet = round(limits.quiet * SECOND)
        self._all: dict[tuple[Any, bytes], Observer] = {}
        self._of_peer: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Observer]:
        return iter(list(self._all.values()))

    def find(self, peer: Any, token: bytes) -> Observer | None:
        """Return a peer's observation."""
        return self._all.get((peer, token))

    def of(self, peer: Any) -> int:
        """Return how much a peer observes."""
        return self._of_peer.get(peer, 0)

    def room(self, peer: Any) -> bool:
        """Tell whether a peer may observe one thing more."""
        limits = self._limits
        return len(self._all) < limits.observers and self._of_peer.get(peer, 0) < limits.of_peer

    def add(self, observer: Observer, now: int) -> None:
        """Take an observation; one with the same token ends, and its numbers go on."""
        old = self.drop(observer.peer, observer.token)
        if old is not None:
            observer.sequence = old.sequence
        observer.told_at = observer.confirmed_at = now
        self._all[observer.peer, observer.token] = observer
        self._of_peer[observer.peer] = self._of_peer.get(observer.peer, 0) + 1
        self.counters["registered"] += old is None

    def drop(self, peer: Any, token: bytes) -> Observer | None:
        """End an observation."""
        found = self._all.pop((peer, token), None)
        if found is None:
            return None
        found.stop()
        if (left := self._of_peer[peer] - 1) > 0:
            self._of_peer[peer] = left
        else:
            del self._of_peer[peer]
        return found

    def holds(self, observer: Observer) -> bool:
        """Tell whether an observation goes on."""
        return self._all.get((observer.peer, observer.token)) is observer

    def confirms(self, observer: Observer, now: int) -> bool:
        """Tell whether the next notification is confirmable, and note that it is sent [§4.5]."""
        observer.since_confirmed += 1
        due = observer.since_confirmed >= self._limits.confirm_every
        due = due or now - observer.told_at >= self._quiet or now - observer.confirmed_at >= DAY
        observer.told_at = now
        if due:
            observer.since_confirmed, observer.confirmed_at = 0, now
        self.counters["notifications"] += 1
        return due
