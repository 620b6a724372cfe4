"""The link from the node to the hub: the real uplink over the real outbox file, envelopes as bytes."""

import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rimward.edge.commands.file import Boot
from rimward.edge.config import NodeConfig
from rimward.edge.deep.commanding import Asking
from rimward.edge.deep.marking import MarkBook
from rimward.edge.deep.reader import OutboxReader
from rimward.events import Duration, nanoseconds
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
        self.lost: int = 0  # envelopes and answers that were lost by chance
        self.takes: int = 0  # ns from one end to the other
        self._flaky = 0.0
        self._loss = 0.0
        self._chance = chance

    def down(self) -> None:
        """Cut the link: what is forwarded waits in the outbox."""
        self.is_up = False

    def up(self) -> None:
        """Mend the link; `settle` then lets what waits through."""
        self.is_up = True

    def delay(self, each_way: Duration | None) -> None:
        """Let everything take so long from one end to the other, from now on; None is a link without delay.

        What `settle` sends is then on its way: `advance` lets it arrive, and the answers come back as late.
        """
        self.takes = 0 if each_way is None else nanoseconds(each_way)

    def lose(self, share: float) -> None:
        """Lose, by the Site's seed, this share of the envelopes, and of the answers: 0.0 loses none.

        What follows a lost envelope in its lane is sent again with it, as over a stream.

        Raises:
            ValueError: the share is not from 0 to 0.9.
        """
        self._loss = _share("lose", share)

    def flaky(self, share: float) -> None:
        """Let the link break, by the Site's seed, at this share of its exchanges: 0.0 is a sound link.

        A break loses envelopes on their way, or the hub's answer to those that arrived.

        Raises:
            ValueError: the share is not from 0 to 0.9.
        """
        self._flaky = _share("flaky", share)

    def breaks_now(self) -> bool:
        """Draw whether this exchange breaks."""
        broken = self._flaky > 0.0 and self._chance.random() < self._flaky
        self.breaks += broken
        return broken

    def loses_now(self) -> bool:
        """Draw whether this envelope, or answer, is lost."""
        lost = self._loss > 0.0 and self._chance.random() < self._loss
        self.lost += lost
        return lost


def _share(name: str, share: float) -> float:
    if not 0.0 <= share <= 0.9:
        raise ValueError(f"uplink.{name}: share is {share}, it must be from 0 to 0.9")
    return share


class _Flight(NamedTuple):
    """What is on its way: envelopes, or with `answers` the hub's marks for those that arrived."""

    due: int  # monotonic ns
    segments: list[Segment]
    batch: list[tuple[str, bytes]]
    answers: list[bytes] | None = None


class Sender:
    """One start of the node's deep process."""

    def __init__(self, config: NodeConfig, clock: Clock, uplink: Uplink, boot: str) -> None:
        self._config = config
        self._clock = clock
        self._asking: Asking | None = None
        self._uplink = uplink
        self._flights: deque[_Flight] = deque()
        self._again = False  # something was lost, as the node will find
        self._packer = Packer(region=config.region, site=config.site, boot=boot)
        self._core = UplinkCore(AT_ONCE)
        self._reader = OutboxReader(Path(config.data) / "node" / "outbox.db", config.node)
        self.book: MarkBook = MarkBook(self._core, self._reader.epochs)

    def drain(self, deliver: Deliver) -> bool:
        """Send what waits until all of it was given to the hub; return whether anything arrived."""
        moved = False
        while self._uplink.is_up:
            segments, batch = self._batch()
            if batch:
                self._flights.append(_Flight(self._arrives(), segments, batch))
            if not self.land(deliver):
                break
            moved = True
        return moved

    @property
    def lands_at(self) -> int | None:
        """Monotonic ns at which what is on its way arrives; None where nothing is."""
        return self._flights[0].due if self._flights else None

    def land(self, deliver: Deliver) -> bool:
        """Let arrive what is due; return whether anything was."""
        moved = False
        while self._flights and self._flights[0].due <= self._clock.monotonic():
            flight = self._flights.popleft()
            moved = True
            if not self._uplink.is_up or self._uplink.breaks_now():
                self._start_again()  # there: nothing arrives; back: it is in the lake, and nobody here knows
            elif flight.answers is None:
                self._arrive(flight, deliver)
            else:
                self._hear(flight.segments, flight.answers)
        return moved

    def _arrive(self, flight: _Flight, deliver: Deliver) -> None:
        arrived: list[tuple[str, bytes]] = []
        segments: list[Segment] = []
        gone: set[str] = set()  # lanes of which one was lost
        for segment, envelope in zip(flight.segments, flight.batch, strict=True):
            if segment.lane.fact in gone or self._uplink.loses_now():
                gone.add(segment.lane.fact)
            else:
                arrived.append(envelope)
                segments.append(segment)
        answers = deliver(arrived) if arrived else []
        lost = bool(gone) or any(self._uplink.loses_now() for _ in answers)
        self._flights.append(_Flight(self._arrives(), [] if lost else segments, [], [] if lost else answers))
        self._again = self._again or lost

    def _hear(self, segments: list[Segment], answers: list[bytes]) -> None:
        if self._again:
            self._start_again()
            return
        for segment in segments:
            self._core.taken(segment, self._now())
        for answer in answers:
            marks = Marks.decode(answer)
            if marks.node == self._config.node:
                self.book.hear(marks.marks, self._now())

    def _start_again(self) -> None:
        """Begin anew, as after a connection that broke: what is on its way is nobody's any more."""
        self._again = False
        self._flights.clear()
        self._core.begin(self._now(), same_bus=False)

    def _arrives(self) -> int:
        return self._clock.monotonic() + self._uplink.takes

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
