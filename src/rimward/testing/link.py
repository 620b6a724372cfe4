"""The link from the node to the hub: the real uplink over the real outbox file, envelopes as bytes."""

import random
from collections.abc import Callable
from pathlib import Path

from rimward.edge.config import NodeConfig
from rimward.edge.deep.reader import OutboxReader
from rimward.network.uplink import Segment, UplinkCore
from rimward.testing.clock import Clock
from rimward.wire import Epoch, Header, Lane, Mark, Marks, encode_raw, up_subject

WINDOW = 16  # envelopes in flight
Deliver = Callable[[list[tuple[str, bytes]]], list[bytes]]  # (subject, envelope) in, marks out


class Uplink:
    """The link as a test handles it. It is up at first."""

    def __init__(self, chance: random.Random) -> None:
        self.is_up = True
        self.breaks = 0  # how often it broke by chance
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
        self._core = UplinkCore(clock.monotonic() * 1e-9)
        self._reader = OutboxReader(Path(config.data) / "node" / "outbox.db")
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
            answers = deliver(batch)
            if self._uplink.breaks_now():  # on the way back: it is in the lake, and nobody here knows
                self._core.go_back()
                continue
            for answer in answers:
                self._marked(Marks.decode(answer))
        return moved

    def _batch(self) -> list[tuple[str, bytes]]:
        now = self._clock.monotonic() * 1e-9
        batch: list[tuple[str, bytes]] = []
        while len(batch) < WINDOW and (segment := self._core.next(self._reader, now)) is not None:
            self._core.sent(segment, now)
            batch.append(self._envelope(segment))
        return batch

    def _envelope(self, segment: Segment) -> tuple[str, bytes]:
        config = self._config
        if segment.counter not in self._epochs:
            self._epochs = self._reader.epochs()
        header = Header(
            schema=segment.schema,
            priority=segment.priority,
            first=segment.first,
            last=segment.last,
            sealed_at=self._clock.wall(),
            site=config.site,
            boot=self._boot,
            attempt=self._core.attempt(segment.fact),
            lost=segment.lost,
        )
        count = 0 if segment.lost else segment.last - segment.first + 1
        lane = Lane(config.node, self._epochs[segment.counter], segment.fact)
        return up_subject(config.region, lane), encode_raw(header, count, segment.rows)

    def _marked(self, marks: Marks) -> None:
        if marks.node != self._config.node:
            return
        for mark in marks.marks:
            epoch = self._epochs.get(mark.counter)
            if epoch is not None and epoch.nonce == mark.nonce:
                self._core.marked(mark, self._clock.monotonic() * 1e-9)
                self.marks[mark.fact] = mark

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
