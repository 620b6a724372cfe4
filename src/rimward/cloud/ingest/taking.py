"""One commit at a time: envelopes into the lake, off the bus, and the marks to their nodes."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from rimward.cloud.announcing import Announcer
from rimward.cloud.config import HubConfig
from rimward.cloud.connecting import committed_subject
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.ingest.envelopes import Envelope, Outcome
from rimward.cloud.ingest.reading import Arrival, Reading
from rimward.cloud.ingest.releasing import Releases
from rimward.cloud.ingest.replaying import Replaying
from rimward.cloud.ingest.welcoming import Welcoming
from rimward.cloud.lake.storage import LakeBroken
from rimward.cloud.parts import told
from rimward.cloud.store import Records
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.observe.threads import in_thread
from rimward.wire import Hello, Mark, Marks, Pace, Welcome, marks_subject

log: Logger = get_logger("rimward.ingest")

GAPS_TOLD = 1024  # lanes whose gap was told; one is told again only after its mark has moved
CLAIMED = 64  # generations by which a node's mark may be ahead of the lake's and still be believed


class Taking:
    """Commits what messages bring, and knows the marks."""

    def __init__(
        self,
        config: HubConfig,
        ingest: Ingest,
        records: Records,
        announcer: Announcer | None,
        now: Callable[[], int],
    ) -> None:
        """`now` is the wall clock, ns."""
        self._config = config
        self.ingest = ingest
        self._records = records
        self._announcer = announcer
        self._now = now
        self._reading = Reading(now)
        self._turn = asyncio.Lock()  # one commit at a time
        self._marks: dict[str, dict[str, Mark]] = {}
        self._gaps: dict[
            tuple[str, str], tuple[int, int]
        ] = {}  # by (node, lane): the mark at which one was told
        self.welcoming: Welcoming = Welcoming(lambda: ingest.lake.generations.id, lambda: ingest.lake.epochs)
        self._releases = Releases(Path(config.data))
        self.took: Callable[[int], None] = _nobody  # hears how long each commit took, ns

    async def look(self, *, afresh: bool = False) -> None:
        """Look at what others did to the lake, and read the marks again where that is needed."""
        async with self._turn:
            work = self.ingest.lake.open if afresh else self.ingest.look
            if afresh:
                replayed = await in_thread(Replaying(self.ingest.lake, self._now, self.ingest.rules).known)
                self._reading.counts["replayed"] += replayed.stored
            if await in_thread(work) or afresh:
                self._heed(await in_thread(self.ingest.marks), anew=True)

    def _heed(self, marks: list[tuple[str, Mark]], *, anew: bool = False) -> None:
        if anew:
            self._marks = {}
        for node, mark in marks:
            self._marks.setdefault(node, {})[mark.fact] = mark

    async def read(self, messages: list[Msg]) -> dict[str, list[Arrival]]:
        """Return the envelopes of messages by their table; those that bring none are done with."""
        by_fact, done = self._reading.sort(messages)
        if done:
            async with self._turn:
                await self._count()
        for message in done:
            await message.ack()
        return by_fact

    async def take(self, fact: str, arrivals: list[Arrival]) -> set[str] | None:
        """Commit envelopes of one table and only then take them off the bus; return whose marks moved.

        None: the commit failed, and they are still on the bus.
        """
        async with self._turn:
            allowed = [one for one in arrivals if not self._refused(one)]
            outcome = await self._commit(fact, allowed) if allowed else None
            if allowed and outcome is None:
                return None
            if outcome is not None:
                await self._noted(fact, outcome)
            await self._count()
        for arrival in arrivals:
            await arrival.message.ack()
        reach("ingest.acked")
        return {arrival.envelope.lane.node for arrival in arrivals}

    async def _count(self) -> None:
        counts = self._reading.counts
        if counts and await self._write_down(self._records.add, counts):
            counts.clear()

    async def tell(self, client: Client, nodes: set[str], pace: Pace) -> None:
        """Tell nodes their marks, and the hub that rows were committed."""
        await self.announce(client, nodes, pace)
        reach("ingest.announced")
        await client.publish(committed_subject(self._config.region))

    def _refused(self, arrival: Arrival) -> bool:
        """Leave out rows of an outbox that is quarantined: they stay where they are."""
        lane = arrival.envelope.lane
        if not self.welcoming.refuses(lane.node, lane.epoch):
            return False
        self._reading.counts["quarantined"] += 1
        return True

    async def _commit(self, fact: str, arrivals: list[Arrival]) -> Outcome | None:
        envelopes = [arrival.envelope for arrival in arrivals]
        for arrival in arrivals:  # before anybody can see the rows
            lane, sent = arrival.envelope.lane, arrival.message.metadata.timestamp
            self.welcoming.came(lane.node, lane.epoch, min(self._now(), int(sent.timestamp() * 1e9)))
        begun = time.monotonic_ns()
        try:
            return await in_thread(self.ingest.take, fact, envelopes)
        except LakeBroken:
            raise
        except Exception as error:  # noqa: BLE001 (one fact's commit ends no other's; all is tried again)
            self._reading.counts["failed_commits"] += 1
            log.error("a commit failed", fact=fact, error=told(error))  # noqa: TRY400 (one line; it is tried again)
            return None
        finally:
            self.took(time.monotonic_ns() - begun)

    async def _noted(self, fact: str, outcome: Outcome) -> None:
        await self._write_down(self._records.note, outcome, self._now())
        reach("ingest.recorded")
        if outcome.clashes:
            log.error("rows of another outbox under a node's name were refused", fact=fact)
        for envelope in outcome.foreign:
            self.welcoming.refuse(envelope.lane.node, envelope.lane.epoch)
        self._heed(outcome.marks)
        for envelope in outcome.early:
            self._tell_gap(envelope)
        if self._announcer is not None:
            self._announcer.offer(fact, outcome.rows)
            self._reading.counts.update(self._announcer.take_counts())

    @property
    def gaps(self) -> list[tuple[str, str]]:
        """Lanes, as (node, lane), of which rows came and those before them are missing still."""
        return [key for key, reached in self._gaps.items() if self._reached(*key) == reached]

    def _reached(self, node: str, lane: str) -> tuple[int, int]:
        mark = self._marks.get(node, {}).get(lane)
        return (0, 0) if mark is None else mark.reached

    def _tell_gap(self, envelope: Envelope) -> None:
        """Say that rows are missing before those that came; once for a lane, until its mark moves."""
        lane = envelope.lane
        reached = self._reached(lane.node, lane.fact)
        if self._gaps.get((lane.node, lane.fact)) == reached:
            return
        if len(self._gaps) >= GAPS_TOLD:
            self._gaps.clear()
        self._gaps[lane.node, lane.fact] = reached
        came = (lane.epoch.counter, envelope.header.first)
        log.warning("rows are missing before those that came, and are asked for", node=lane.node,
                    lane=lane.fact, reached=reached, came=came)  # fmt: skip

    async def _write_down(self, write: Callable[..., object], *arguments: object) -> bool:
        """Note something for people; False where hub.db refuses, which holds no row up."""
        try:
            await in_thread(write, *arguments)
        except (sqlite3.Error, OverflowError) as error:  # the latter: a node's number that is no int64
            log.error("the hub's own file can't be written", error=told(error))  # noqa: TRY400 (one line)
            return False
        return True

    async def announce(self, client: Client, nodes: set[str] | None = None, pace: Pace | None = None) -> None:
        """Tell nodes their marks, and how fast they may send; without names, all of them."""
        for node in list(self._marks) if nodes is None else nodes & self._marks.keys():
            marks = Marks(node, tuple(self._marks[node].values()), pace=pace)
            await client.publish(marks_subject(node), marks.encode())
        await client.flush(timeout=2)

    async def welcome(self, hello: Hello) -> Welcome:
        """Answer a node; what it was told before may say that the lake is an older one."""
        if self._claims_more(hello, self._marks.get(hello.node, {})):
            async with self._turn:
                self._heed(await in_thread(self._believe, hello), anew=True)
        released = 0
        if self.welcoming.holds(hello.node):
            released = await in_thread(self._releases.at, hello.node)
        marks = tuple(self._marks.get(hello.node, {}).values())
        welcome = self.welcoming.answer(hello, marks, self._now(), released)
        if welcome.verdict != "quarantined":
            orders = self.ingest.orders(hello.erased.known)
            welcome = msgspec.structs.replace(welcome, erase=orders)
        if welcome.verdict == "ok":  # whoever is told apart first may be another
            await self._write_down(self._records.reports.note, hello, self._now())
        if welcome.verdict == "rekey":
            async with self._turn:
                left = await asyncio.to_thread(self.ingest.left, hello, welcome)
            return msgspec.structs.replace(welcome, left=left)
        return welcome

    def _claims_more(self, hello: Hello, marks: dict[str, Mark]) -> bool:
        """Tell whether a node was told more than this lake has: then it is an older copy, or a new one."""
        lake = self.ingest.lake
        for told_ in hello.marks:
            nonce = lake.epochs.nonce(hello.node, told_.counter)
            if not told_.counter or nonce not in (None, told_.nonce):
                continue  # of nothing, or of another outbox
            ahead = told_.generation - lake.generations.current
            if 0 < ahead <= CLAIMED or (ahead == 0 and _is_beyond(told_, marks.get(told_.fact))):
                return True
        return False

    def _believe(self, hello: Hello) -> list[tuple[str, Mark]]:
        """Look at the lake as it is now, begin a generation where a node was told more, return the marks."""
        ingest, lanes = self.ingest, [told_.fact for told_ in hello.marks]
        ingest.lake.open()
        if self._claims_more(hello, ingest.marks_of(hello.node, lanes)):
            most = max(told_.generation for told_ in hello.marks)
            ingest.lake.restored([f"{hello.node} was told of more than the lake has"], floor=most)
        own = ingest.marks_of(hello.node, lanes).values()
        return [*ingest.marks(), *((hello.node, mark) for mark in own)]


def _nobody(_took: int) -> None:
    """Hear nothing."""


def _is_beyond(told_: Mark, mark: Mark | None) -> bool:
    """Tell whether a mark of the same generation is of another table, or of more than there is."""
    if mark is None:
        return True
    return mark.table != told_.table or mark.version < told_.version or mark.reached < told_.reached
