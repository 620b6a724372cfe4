"""The marks that a node has heard: how far the lake has each of its lanes."""

from collections.abc import Callable, Iterable

from rimward.network.uplink import UplinkCore
from rimward.observe import Logger, get_logger
from rimward.wire import Epoch, Mark

log: Logger = get_logger("rimward.deep")


class MarkBook:
    """The newest mark of each lane, of epochs that are this outbox's own."""

    def __init__(self, core: UplinkCore, epochs: Callable[[], dict[int, Epoch]]) -> None:
        """`epochs` reads those of the outbox, by counter: a writer that starts adds one."""
        self.marks: dict[str, Mark] = {}
        self.clashes: set[tuple[str, int]] = set()  # (lane, counter) that another disk has used
        self._core = core
        self._read = epochs
        self._epochs: dict[int, Epoch] = {}

    def hear(self, marks: Iterable[Mark], now: float) -> bool:
        """Take marks over; return whether any is new."""
        changed = False
        for mark in marks:
            if mark.counter and mark.counter not in self._epochs:
                self._epochs = self._read()
            epoch = self._epochs.get(mark.counter)
            forgotten = epoch is None and mark.counter < min(self._epochs, default=0)
            if mark.counter and not forgotten and (epoch is None or epoch.nonce != mark.nonce):
                self._clash(mark, epoch)
            elif self._core.marked(mark, now) and self.marks.get(mark.fact) != mark:
                self.marks[mark.fact] = mark
                changed = True
        return changed

    def forget(self) -> None:
        """Start anew with another hub: what the one before has is no news of this one's lake."""
        self.marks.clear()
        self._core.forget_marks()

    def _clash(self, mark: Mark, epoch: Epoch | None) -> None:
        """Tell of rows in the lake that another disk sent under this node's name: they free nothing here."""
        if (mark.fact, mark.counter) in self.clashes:
            return
        self.clashes.add((mark.fact, mark.counter))
        log.error(
            "another outbox has used this node's name: give one of them another",
            fact=mark.fact,
            counter=mark.counter,
            known_here=epoch is not None,
        )
