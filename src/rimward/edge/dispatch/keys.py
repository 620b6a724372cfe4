"""The keys of a stream: those in use in memory, all of them on disk, none for ever.

A key's state is written lazily with the outbox's commits, so that it is on disk together with the rows that
came of it. What has not been used for longest leaves memory and is read back when its device speaks again.
Beside each key lies a row that says when the key has to be looked at even if it stays silent: a window of it
ends, or it is forgotten. Those of this start are ordered by the monotonic clock; at a start all older ones
are looked at, for their devices have had no chance to speak since.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from rimward.events import RimwardError
from rimward.streams import Chain, Item
from rimward.streams.snapshots import pack, unpack

FORM = 2  # of a key on disk
NEVER = 1 << 62
LOOKED_AT = 4_096  # keys out of memory that are looked at in one go
ADOPTING = 3  # looks without a find after which no key is left that has no row
SLACK = 50_000_000  # ns by which a key in memory may be looked at too late
AGAIN = 1_000_000_000  # ns after which what found no room is tried again


class StreamsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What streams may hold."""

    keys_in_memory: int = 10_000  # of one stream; about 3 KB each for a window of two aggregates
    max_keys: int = 5_000_000  # of one stream, on disk; an event of another one is refused as full


STREAMS = StreamsConfig()


class KeysFull(RimwardError):
    """A stream has as many keys as it may."""

    code = "stream-keys"


class Store(Protocol):
    """Where keys are kept: the outbox."""

    def touch(self, space: str, key: str, encode: Callable[[], bytes | None]) -> None:
        """Write a value with the next commit."""
        ...

    def find(self, space: str, key: str) -> bytes | None:
        """Return a value as it was touched last."""
        ...

    def keys(self, space: str, since: str, until: str, most: int) -> list[str]:
        """Return the first committed keys from `since` to before `until`, without those that are to go."""
        ...

    def count(self, space: str) -> int:
        """Return how many keys are committed."""
        ...


class Ground(Struct, frozen=True):
    """What streams stand on."""

    store: Store
    boot: str  # what no other start of the node has
    now: Callable[[], int]  # monotonic ns
    find_state: Callable[[type[Struct]], Callable[[str], Struct | None]]
    config: StreamsConfig
    moved: dict[str, int]  # by stream, how many keys have just come from its old name, not committed yet
    running: bool = False  # keys that another version of the app had may not be committed yet


class Reviving(Struct, frozen=True):
    """What has to be known of a stream to make its keys and to bring them back."""

    make: Callable[[tuple[str, ...]], Chain]  # of a key's names
    forget: int  # ns of silence after which a key goes
    held: Any  # the type of what leaves the stream
    old: Callable[[Any], Any]  # makes a chain's snapshot of the one that a version before kept


class Key:
    """One key's chain and the two clocks of its device."""

    __slots__ = (
        "again",
        "alarm",
        "arrived",
        "chain",
        "clock",
        "deadline",
        "held",
        "names",
        "row",
        "store",
        "text",
    )

    def __init__(self, store: "Keys", text: str, names: tuple[str, ...], chain: Chain, now: int) -> None:
        self.store: Keys = store
        self.text: str = text
        self.names: tuple[str, ...] = names
        self.chain: Chain = chain
        self.clock: int | None = None  # event time of the newest event, ns
        self.deadline: int | None = None  # the chain's
        self.arrived: int = now  # monotonic ns at which it came
        self.alarm: int = NEVER  # monotonic ns at which it is in the heap
        self.row: str | None = None  # its row on disk that says when to look at it
        self.held: list[Item] = []  # what has left the chain and is not in a transaction yet
        self.again: int = 0  # monotonic ns at which that is tried again

    def clock_at(self, now: int) -> int:
        """Return the event clock at a monotonic time: a silent device's is taken to go on like ours."""
        assert self.clock is not None
        return self.clock + now - self.arrived

    def due(self) -> int:
        """Return the monotonic ns at which it has to be looked at."""
        if self.held:
            return self.again
        deadline = self.deadline
        if deadline is None or self.clock is None:
            return self.arrived + self.store.forget
        return self.arrived + deadline - self.clock

    def encode(self) -> bytes:
        """Return it for the disk."""
        held = [[time, msgspec.to_builtins(value), mark] for time, value, mark in self.held]
        return pack(
            (
                FORM,
                self.names,
                self.clock,
                self.store.boot,
                self.arrived,
                self.row,
                self.chain.snapshot(),
                held,
            )
        )


class Keys:
    """All keys of one stream."""

    def __init__(self, ground: Ground, name: str, reviving: Reviving, before: "Keys | None" = None) -> None:
        """Take over the keys that are stored under the stream's name; `before` had them until now."""
        store, now = ground.store, ground.now
        moved = ground.moved.get(name, 0)
        self._store = store
        self.space: str = f"stream:{name}"
        self.rows: str = f"due:{name}"
        self.name: str = name
        self.boot: str = ground.boot
        self.now: Callable[[], int] = now
        self.forget: int = reviving.forget
        self._make = reviving.make
        self._config = ground.config
        self._reviving = reviving
        self._hot: OrderedDict[str, Key] = OrderedDict()
        self._heap: list[tuple[int, str]] = []
        self._started = now()
        self._evicted = -(1 << 62)  # monotonic ns at which a key last left memory
        self.known: int = max(store.count(self.space), moved)
        few = self.known <= ground.config.keys_in_memory
        self._complete = few and not moved and not ground.running  # all are in memory
        self._cold_due: int = NEVER if self._complete else self._started
        self._adopted = ""  # the last key without a row, of an older version or name, that was looked at
        self._adopts = ADOPTING if not self._complete and (moved or not store.count(self.rows)) else 0
        if self._complete:
            self._load_all()
        if before is not None:
            before.leave()
            self.known, self._evicted = before.known, before._evicted
            self._adopted, self._adopts = before._adopted, before._adopts

    def leave(self) -> None:
        """Let all keys leave memory: another version of the code has them from now on."""
        self._complete = False
        while self._hot:
            _, key = self._hot.popitem()
            self._left(key)
        self._evicted = self.now()

    def __len__(self) -> int:
        return self.known

    @property
    def in_memory(self) -> int:
        """How many keys are in memory."""
        return len(self._hot)

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """Yield all keys as they are kept."""
        for key in self._hot.values():
            yield key.text, key.encode()
        for text in () if self._complete else self._store.keys(self.space, "", "\U0010ffff", self.known):
            if text not in self._hot and (value := self._store.find(self.space, text)) is not None:
                yield text, value

    def get(self, text: str, names: tuple[str, ...]) -> Key:
        """Return a key, a new one where there is none.

        Raises:
            KeysFull: there are as many as there may be.
        """
        key = self._hot.get(text)
        if key is not None:
            self._hot.move_to_end(text)
            return key
        key = None if self._complete else self._load(text)
        if key is None:
            if self.known >= self._config.max_keys:
                raise KeysFull(f"{self.name} has {self.known} keys, the limit")
            self.known += 1
            key = Key(self, text, names, self._make(names), self.now())
        self._keep(key)
        return key

    def current(self, key: Key) -> Key:
        """Return what stands for the key now: it may have left memory meanwhile."""
        return self._hot.get(key.text) or self.get(key.text, key.names)

    def touched(self, key: Key) -> None:
        """Have a changed key written, and looked at in time."""
        self._store.touch(self.space, key.text, key.encode)
        due = key.due()
        if due + SLACK < key.alarm:
            key.alarm = due
            heapq.heappush(self._heap, (due, key.text))
        if key.row is None:  # a row that is too late is moved when the key leaves memory
            self._move(key, self._row(due, key.text))
        if self._complete is False and self._hot.get(key.text) is not key:
            self._left(key)

    def due(self) -> int | None:
        """Return the monotonic ns at which `waking` has something; None is never."""
        heap = self._heap
        while heap and ((key := self._hot.get(heap[0][1])) is None or key.alarm != heap[0][0]):
            heapq.heappop(heap)
        soonest = min(heap[0][0] if heap else NEVER, self._cold_due)
        return None if soonest == NEVER else soonest

    def waking(self, now: int) -> list[Key]:
        """Return the keys whose time has come; each is given to `touched` or `forgotten` afterwards."""
        found: dict[str, Key] = {}  # a key that leaves memory meanwhile must not be loaded a second time
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, text = heapq.heappop(heap)
            key = self._hot.get(text)
            if key is not None and key.alarm == at:
                key.alarm = NEVER
                found[text] = key
        if self._cold_due <= now:
            self._cold(now, found)
        return list(found.values())

    def forgotten(self, key: Key) -> None:
        """Forget a key."""
        self._hot.pop(key.text, None)
        self.known -= 1
        self._store.touch(self.space, key.text, _gone)
        if key.row is not None:
            self._store.touch(self.rows, key.row, _gone)

    def is_over(self, key: Key, now: int) -> bool:
        """Tell whether a key has been silent for so long that it is forgotten."""
        return now - key.arrived >= self.forget and not key.held

    # -- memory and disk

    def _keep(self, key: Key) -> None:
        hot = self._hot
        hot[key.text] = key
        while len(hot) > self._config.keys_in_memory:
            _, cold = hot.popitem(last=False)
            self._complete = False
            self._left(cold)

    def _left(self, key: Key) -> None:
        """Look for a key on disk when its time comes, now that it is not in memory."""
        self._evicted = self.now()
        due = key.due()
        if self._time_of(key.row) > due or not (key.row or "").startswith(self.boot):
            self._move(key, self._row(due, key.text))
            self._store.touch(self.space, key.text, key.encode)  # it names its row
        self._cold_due = min(self._cold_due, self._time_of(key.row))

    def _load_all(self) -> None:
        """Bring all keys into memory: as long as it holds them all, none is looked for on disk."""
        for text in self._store.keys(self.space, "", "\U0010ffff", self.known):
            key = self._load(text)
            if key is not None:
                self._hot[text] = key
                key.alarm = key.due()
                heapq.heappush(self._heap, (key.alarm, text))

    def _load(self, text: str) -> Key | None:
        stored = self._store.find(self.space, text)
        if stored is None:
            return None
        saved = unpack(stored)
        if saved[0] != FORM:
            names, clock, state = saved
            key = Key(self, text, tuple(names), self._make(tuple(names)), self._started)
            key.clock = clock
            key.chain.restore(self._reviving.old(state))
            key.deadline = key.chain.deadline()
            return key
        _, names, clock, boot, arrived, row, state, held = saved
        same = boot == self.boot
        key = Key(self, text, tuple(names), self._make(tuple(names)), arrived if same else self._started)
        key.clock, key.row = clock, row
        key.chain.restore(state)
        key.deadline = key.chain.deadline()
        key.held = [(time, msgspec.convert(value, self._reviving.held), mark) for time, value, mark in held]
        return key

    def _row(self, due: int, text: str) -> str:
        return f"{self.boot}.{max(0, due):020d}/{text}"

    def _time_of(self, row: str | None) -> int:
        if row is None or not row.startswith(self.boot):
            return self._started
        return int(row[len(self.boot) + 1 :].partition("/")[0])

    def _move(self, key: Key, row: str) -> None:
        if key.row is not None and key.row != row:
            self._store.touch(self.rows, key.row, _gone)
        key.row = row
        self._store.touch(self.rows, row, _here)

    def _cold(self, now: int, found: dict[str, Key]) -> None:
        """Add keys out of memory whose rows say that their time has come; move the rows of others."""
        store, first, last = self._store, f"{self.boot}.", f"{self.boot}/"
        rows = store.keys(self.rows, "", first, LOOKED_AT)
        rows += store.keys(self.rows, last, "\U0010ffff", LOOKED_AT - len(rows))
        rows += store.keys(self.rows, first, self._row(now + 1, ""), max(1, LOOKED_AT - len(rows)))
        self._cold_due = NEVER
        self._wake([(row.partition("/")[2], row) for row in rows], now, found)
        if self._adopts:
            texts = store.keys(self.space, self._adopted, "\U0010ffff", LOOKED_AT)
            self._adopts -= not texts
            self._adopted = f"{texts[-1]}\0" if texts else ""
            self._wake([(text, None) for text in texts], now, found)
        if len(rows) >= LOOKED_AT or self._adopts or now - self._evicted < 2 * AGAIN:
            self._cold_due = now + AGAIN  # there are more, or rows that are not committed yet
        else:
            later = store.keys(self.rows, self._row(now + 1, ""), last, 1)
            self._cold_due = min(self._cold_due, self._time_of(later[0]) if later else NEVER)

    def _wake(self, texts: list[tuple[str, str | None]], now: int, found: dict[str, Key]) -> None:
        """Add those keys that are due, of some with the rows that name them; move the rows of others."""
        for text, row in texts:
            if text in found:
                continue
            key = self._hot.get(text)
            if key is None and (key := self._load(text)) is not None:
                self._keep(key)
            if row is not None and (key is None or key.row != row):
                self._store.touch(self.rows, row, _gone)
            if key is None:
                continue
            due = key.due()
            if due <= now:
                found[text] = key
                continue
            self._move(key, self._row(due, text))
            self.touched(key)


def _gone() -> bytes | None:
    return None


def _here() -> bytes | None:
    return b""
