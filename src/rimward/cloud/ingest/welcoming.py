"""The hub's answer to a node's hello: is it who it says, and how far is the lake with its rows.

Two outboxes may use one name: a copied disk, a restored snapshot, a card put into another machine. The
counter of a start then comes with two nonces. Rows of the one that came second are refused by ingest; here
its node is told what to do: move its rows above every counter that is known, or, while the other is live,
stand still until somebody has told them apart (GUARANTEES §2).
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from rimward.cloud.ingest.epochs import ANY
from rimward.observe import Logger, get_logger
from rimward.wire import Epoch, Hello, Mark, Welcome

log: Logger = get_logger("rimward.ingest")

LIVE = 15_000_000_000  # ns after its last hello for which an outbox counts as live
RELEASED = 60_000_000_000  # ns after a release for which the other outbox counts as silent
ACCOUNTS = 8  # outboxes and boots of one node that are remembered; the one silent for longest gives way
UNHEARD = 8  # starts of one node whose rows came before their hello; the first of them gives way
REFUSED = 64  # starts of one node whose rows were refused; the oldest is forgotten until they come again
NODES = 65_536  # whose accounts are kept; the one silent for longest gives way


class Known(Protocol):
    """Which starts rows came from."""

    def nonce(self, node: str, counter: int) -> int | None:
        """Return a counter's nonce, `ANY`, or None."""
        ...

    def starts(self, node: str) -> Mapping[int, int]:
        """Return the nonces of a node's starts by counter; `ANY` among them."""
        ...

    def highest(self, node: str) -> int:
        """Return the highest counter."""
        ...


class _Account(Struct):
    """One outbox, as its node's hellos say."""

    outbox: str
    boot: str
    epochs: dict[int, int]  # every nonce that it has named, by counter
    at: int  # wall ns of the last hello
    quarantined: bool = False


class Welcoming:
    """Remembers who said hello, and judges who says it next."""

    def __init__(self, hub: Callable[[], str], known: Callable[[], Known]) -> None:
        """`hub` is the id of the hub's store, `known` what the lake knows of starts now."""
        self._hub = hub
        self._known = known
        self._accounts: dict[str, list[_Account]] = {}
        self._refused: dict[str, dict[tuple[int, int], None]] = {}  # by node: starts of refused rows
        self._unheard: dict[str, dict[tuple[int, int], int]] = {}  # by node: wall ns of starts' last rows

    def answer(self, hello: Hello, marks: tuple[Mark, ...], now: int, released: int = 0) -> Welcome:
        """Return the verdict on a node; `marks` are those of its lanes, `now` is wall ns.

        `released` is when a person last let the node out of quarantine, wall ns.
        """
        mine = self._account(hello, now)
        known, others = self._known(), [one for one in self._accounts[hello.node] if one is not mine]
        clash = self._clash(hello, known, others, self._refused.get(hello.node, {}))
        highest = max(known.highest(hello.node), *(max(one.epochs, default=0) for one in others), 0)
        verdict, reason = "ok", ""
        if clash is not None:
            counter, owner = clash
            heard = self._rows_at(hello, counter, known) if owner is None else owner.at
            live = now - heard < LIVE and now - released > RELEASED
            verdict = "quarantined" if live else "rekey"
            state = "is live" if live else "has come before"
            reason = f"another outbox of {hello.node} {state}: start {counter} is its own"
        if (verdict == "quarantined") != mine.quarantined:
            self._tell(hello, reason, quarantined=verdict == "quarantined")
        mine.quarantined = verdict == "quarantined"
        if verdict == "rekey":
            log.error("an outbox is told to move its rows to new starts", node=hello.node, reason=reason)
            mine.epochs = {}  # what it says next are others
            for start in hello.epochs:
                self._refused.get(hello.node, {}).pop(start, None)
        return Welcome(verdict, self._hub(), highest, marks, reason, now, self._named(hello, known, others))

    def _named(self, hello: Hello, known: Known, others: list[_Account]) -> tuple[tuple[int, int], ...]:
        """Return whose starts the asker's counters are, and which counters copies of its starts moved to."""
        own = dict(hello.epochs)
        starts = known.starts(hello.node)
        nonces = set(own.values())
        named = {one: nonce for one, nonce in starts.items() if one not in own and nonce in nonces}
        for counter, nonce in own.items():
            if counter in starts:
                named[counter] = nonce if starts[counter] == ANY else starts[counter]
                continue
            for one in others:
                if not one.quarantined and one.epochs.get(counter, nonce) != nonce:
                    named[counter] = one.epochs[counter]
        return tuple(sorted(named.items()))

    def came(self, node: str, epoch: Epoch, at: int) -> None:
        """Note that rows were sent at `at`, wall ns: their outbox is live, though no hello has said so yet.

        After a start of the hub a node's rows may be there before its first hello is answered.
        """
        start = epoch.counter, epoch.nonce
        if any(one.epochs.get(epoch.counter) == epoch.nonce for one in self._accounts.get(node, ())):
            return
        unheard = self._unheard.setdefault(node, {})
        unheard[start] = max(at, unheard.get(start, 0))
        if len(unheard) > UNHEARD:
            unheard.pop(next(iter(unheard)))
        if len(self._unheard) > NODES:
            self._unheard.pop(next(iter(self._unheard)))

    def _rows_at(self, hello: Hello, counter: int, known: Known) -> int:
        """Return when rows of another's start came that no hello has named; 0 where none did."""
        nonce = known.nonce(hello.node, counter)
        if nonce is None or (counter, nonce) in hello.epochs:
            return 0
        return self._unheard.get(hello.node, {}).get((counter, nonce), 0)

    def refuse(self, node: str, epoch: Epoch) -> None:
        """Remember that ingest took rows for another outbox's: whoever names their start has to move them."""
        refused = self._refused.setdefault(node, {})
        refused[epoch.counter, epoch.nonce] = None
        if len(refused) > REFUSED:
            refused.pop(next(iter(refused)))
        if len(self._refused) > NODES:
            self._refused.pop(next(iter(self._refused)))

    def refuses(self, node: str, epoch: Epoch) -> bool:
        """Tell whether rows of a start must not be taken: its outbox is quarantined."""
        return any(
            one.quarantined and one.epochs.get(epoch.counter) == epoch.nonce
            for one in self._accounts.get(node, ())
        ) and not any(
            not one.quarantined and one.epochs.get(epoch.counter) == epoch.nonce
            for one in self._accounts.get(node, ())
        )

    def holds(self, node: str) -> bool:
        """Tell whether an outbox of a node is quarantined."""
        return any(one.quarantined for one in self._accounts.get(node, ()))

    @property
    def quarantined(self) -> list[str]:
        """The nodes of which an outbox is quarantined."""
        return sorted(
            node for node, accounts in self._accounts.items() if any(one.quarantined for one in accounts)
        )

    def _account(self, hello: Hello, now: int) -> _Account:
        """Return the account that a hello goes on with, renewed."""
        accounts = self._accounts.pop(hello.node, [])
        self._accounts[hello.node] = accounts  # the newest is the last
        if len(self._accounts) > NODES:
            self._accounts.pop(next(iter(self._accounts)))
        epochs = dict(hello.epochs)
        unheard = self._unheard.get(hello.node, {})
        for start in hello.epochs:
            unheard.pop(start, None)
        if not unheard:
            self._unheard.pop(hello.node, None)
        same = [one for one in accounts if one.boot == hello.boot] or [
            one for one in accounts if one.outbox == hello.outbox and _goes_on(one.epochs, epochs)
        ]
        for one in same[:1]:
            one.boot, one.outbox, one.at = hello.boot, hello.outbox, now
            one.epochs |= epochs
            return one
        made = _Account(hello.outbox, hello.boot, epochs, now)
        accounts.append(made)
        if len(accounts) > ACCOUNTS:
            accounts.remove(min(accounts, key=_last_heard))
        return made

    @staticmethod
    def _clash(
        hello: Hello, known: Known, others: list[_Account], refused: Mapping[tuple[int, int], None]
    ) -> tuple[int, _Account | None] | None:
        """Return a counter that another outbox has used, the hello's own or one above it, and that outbox."""
        for counter, nonce in hello.epochs:
            theirs = known.nonce(hello.node, counter)
            if theirs not in (None, ANY, nonce):
                return counter, _owner(others, counter, theirs)
            for one in others:
                if not one.quarantined and one.epochs.get(counter, nonce) != nonce:
                    return counter, one
        highest = known.highest(hello.node)
        passed = max((counter for counter, _ in hello.epochs), default=highest) < highest  # an older disk
        if passed or any(start in refused for start in hello.epochs):
            return highest, _owner(others, highest, known.nonce(hello.node, highest))
        return None

    @staticmethod
    def _tell(hello: Hello, reason: str, *, quarantined: bool) -> None:
        if quarantined:
            log.error("an outbox is quarantined: nothing of it is taken", node=hello.node,
                      outbox=hello.outbox, reason=reason)  # fmt: skip
        else:
            log.warning("an outbox is let in again", node=hello.node, outbox=hello.outbox)


def _goes_on(before: Mapping[int, int], now: Mapping[int, int]) -> bool:
    """Tell whether starts go on with others: they share one and contradict none, or are all above them."""
    shared = before.keys() & now.keys()
    if any(before[counter] != now[counter] for counter in shared):
        return False
    return bool(shared) or min(now, default=0) > max(before, default=0)


def _owner(others: list[_Account], counter: int, nonce: int | None) -> _Account | None:
    return next((one for one in others if one.epochs.get(counter) == nonce), None)


def _last_heard(account: _Account) -> int:
    return account.at
