"""The link from the node to the hub: the real uplink over the real outbox file, envelopes as bytes."""

import random
from collections.abc import Callable
from pathlib import Path

from rimward.edge.config import NodeConfig
from rimward.edge.deep.reader import OutboxReader
from rimward.network.uplink import UplinkCore
from rimward.testing.clock import Clock
from rimward.wire import Epoch, Mark, Marks, Segment, seal, up_subject

Deliver = Callable[[list[tuple[str, bytes]]], list[bytes]]  # (subject, envelope) in, marks out


class Uplink:
    """The link as a test handles it. It is up at first."""

    def __init__(self, chance: random.Random) -> None:
        self.is_up: bool = True
        self.breaks: int = 0  # how often it broke by chance
        self._loss = 0.0
        self._chance = chance

    def down(self) -> None:
        """Cut the link: what is forwarded waits in the outbox."""
        self.is_up = False

    def up(self) -> None:
        """Mend the link; `settle` then lets what waits through."""
        self.is_up = True

    def flaky(self, share: float) -> None:
        """Let the link break, by the Site's seed, at this share of its exchanges: 0.0 is a sound link.

        A break loses envelopes on their way, or the hub's answer to those that arrived.

        Raises:
            ValueError: the share is not from 0 to 0.9.
        """
        if not 0.0 <= share <= 0.9:
            raise ValueError(f"uplink.flaky: share is {share}, it must be from 0 to 0.9")
        self._loss = share

    def breaks_now(self) -> bool:
        """Draw whether this exchange breaks."""
        broken = self._loss > 0.0 and self._chance.random() < self._loss
        self.breaks += broken
        return broken


class Sender:
    """One start of the node's deep process."""

    def __init__(self, config: NodeConfig, clock: Clock, uplink: Uplink, boot: str) -> None:
        self._config = config
        self._clock = clock
        self._uplink = uplink
        self._boot = boot
        self._core = UplinkCore()
        self._reader = OutboxReader(Path(config.data) / "node" / "outbox.db", config.node)
        self._epochs: dict[int, Epoch] = {}
        self.marks: dict[str, Mark] = {}

    def drain(self, deliver: Deliver) -> bool:
        """Send what waits until all of it was given to the hub; return whether there was anything."""
        moved = False
        while self._uplink.is_up and (batch := self._batch()):
            moved = True
            if self._uplink.breaks_now():  # on the way there: nothing arrives
                self._core.go_back()
                continue
            answers = deliver([self._envelope(segment) for segment in batch])
            if self._uplink.breaks_now():  # on the way back: it is in the lake, and nobody here knows
                self._core.go_back()
                continue
            for segment in batch:
                self._core.taken(segment)
            for answer in answers:
                self._marked(Marks.decode(answer))
        return moved

    def _batch(self) -> list[Segment]:
        """Return what fits the uplink's window."""
        now = self._clock.monotonic() * 1e-9
        batch: list[Segment] = []
        while (segment := self._core.next(self._reader, now)) is not None:
            self._core.sent(segment, now)
            batch.append(segment)
        return batch

    def _envelope(self, segment: Segment) -> tuple[str, bytes]:
        config, attempt = self._config, self._core.attempt(segment.lane.fact)
        sealed = seal(segment, site=config.site, boot=self._boot, attempt=attempt, now=self._clock.wall())
        return up_subject(config.region, segment.priority, segment.lane), sealed

    def _marked(self, marks: Marks) -> None:
        if marks.node != self._config.node:
            return
        if any(mark.counter not in self._epochs for mark in marks.marks):
            self._epochs = self._reader.epochs()
        for mark in marks.marks:
            epoch = self._epochs.get(mark.counter)
            if epoch is not None and epoch.nonce == mark.nonce:
                self._core.marked(mark, self._clock.monotonic() * 1e-9)
                self.marks[mark.fact] = mark

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
