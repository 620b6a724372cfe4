"""The link from the node to the hub: the real uplink over the real outbox file, envelopes as bytes."""

import random
from collections.abc import Callable
from pathlib import Path

from rimward.edge.commands.file import Boot
from rimward.edge.config import NodeConfig
from rimward.edge.deep.commanding import Asking
from rimward.edge.deep.marking import MarkBook
from rimward.edge.deep.reader import OutboxReader
from rimward.network.config import UplinkConfig
from rimward.network.uplink import UplinkCore
from rimward.testing.clock import Clock
from rimward.wire import Marks, Packer, Segment
from rimward.wire.commands import Commands, Wanted

AT_ONCE = UplinkConfig(gather=0.0, gather_critical=0.0)  # a Site settles: nothing waits for more
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
        self._asking: Asking | None = None
        self._uplink = uplink
        self._packer = Packer(region=config.region, site=config.site, boot=boot)
        self._core = UplinkCore(AT_ONCE)
        self._reader = OutboxReader(Path(config.data) / "node" / "outbox.db", config.node)
        self.book: MarkBook = MarkBook(self._core, self._reader.epochs)

    def drain(self, deliver: Deliver) -> bool:
        """Send what waits until all of it was given to the hub; return whether there was anything."""
        moved = False
        while self._uplink.is_up:
            segments, batch = self._batch()
            if not batch:
                break
            moved = True
            if self._uplink.breaks_now():  # on the way there: nothing arrives
                self._core.begin(self._now(), same_bus=False)
                continue
            answers = deliver(batch)
            if self._uplink.breaks_now():  # on the way back: it is in the lake, and nobody here knows
                self._core.begin(self._now(), same_bus=False)
                continue
            for segment in segments:
                self._core.taken(segment, self._now())
            for answer in answers:
                marks = Marks.decode(answer)
                if marks.node == self._config.node:
                    self.book.hear(marks.marks, self._now())
        return moved

    def _batch(self) -> tuple[list[Segment], list[tuple[str, bytes]]]:
        """Return what fits the uplink's window, as segments and as sealed."""
        now, core = self._now(), self._core
        segments: list[Segment] = []
        sealed: list[tuple[str, bytes]] = []
        while (segment := core.next(self._reader, now)) is not None:
            upload = self._packer.pack(segment, core.attempt(segment.lane.fact), self._clock.wall())
            core.sent(segment, upload.size, now)
            segments.append(segment)
            sealed.append((upload.subject, upload.payload))
        return segments, sealed

    def _now(self) -> float:
        return self._clock.monotonic() * 1e-9

    def ask(self, boot: Boot, answer: Callable[[Wanted], Commands]) -> bool:
        """Ask for commands, if the link is up; return whether there are new ones."""
        if self._asking is None:
            self._asking = Asking(Path(self._config.data) / "node", boot)
        wanted = self._asking.wanted()
        if wanted is None or self._uplink.breaks_now():
            return False
        given = answer(wanted)
        return not self._uplink.breaks_now() and self._asking.take(given) > 0

    def close(self) -> None:
        """Close the files."""
        if self._asking is not None:
            self._asking.file.close()
        self._reader.close()
