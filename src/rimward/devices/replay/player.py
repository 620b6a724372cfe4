"""Devices that follow their scripts on an absolute schedule, and measure what comes back."""

import asyncio
from asyncio import Semaphore, Task
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from math import inf
from random import Random
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from rimward.devices.client import Acknowledgement, Client, Settings
from rimward.devices.errors import DeviceError, Unanswered
from rimward.devices.reconnect import Backoff
from rimward.devices.replay.report import Counts, Report, RoundTrip
from rimward.devices.replay.scripts import Script, Step
from rimward.events import to_ns
from rimward.observe import Histogram
from rimward.protocols.mqtt import Publish

LATE = 0.010  # seconds after its time from which on a message counts as late
REMEMBERED = 4096  # samples of one device whose action may still come
BURST = 64  # messages that one device sends before others get their turn
CONNECTING = 64  # devices that connect at a time


class Pace(Struct, frozen=True, kw_only=True):
    """How fast recordings play, and how sure devices want to be."""

    speed: float = 1.0  # recorded seconds in one second; `inf` is as fast as the server takes it
    qos: int = 1


class _Action(Struct, frozen=True):
    at: datetime


class Player:
    """One device."""

    def __init__(self, script: Script, client: Client, pace: Pace, now: Callable[[], int]) -> None:
        """`now` is a monotonic clock in ns."""
        self.script = script
        self.client = client
        self.counts: Counts = Counts()
        self.round_trip: Histogram = Histogram()  # ns
        self.failure: str | None = None
        self._pace = pace
        self._now = now
        self._decode = msgspec.json.Decoder(_Action).decode
        self._published: dict[int, int] = {}  # monotonic ns by event time in us, oldest first

    async def listen(self) -> None:
        """Subscribe to the device's actions."""
        if self.script.listens is not None:
            await self.client.subscribe(self.script.listens, self._took)

    async def play(self, start: int, event_start: int) -> None:
        """Send every message at its time; `start` is monotonic ns, `event_start` ns since the epoch."""
        try:
            for n, step in enumerate(self.script.steps(event_start)):
                await self._until_due(start, step, n)
                await self._send(start, step)
        except DeviceError as error:
            self.failure = str(error)

    async def _until_due(self, start: int, step: Step, n: int) -> None:
        wait = step.at / self._pace.speed - (self._now() - start) / 1e9
        if wait > 0:
            await asyncio.sleep(wait)
        elif n % BURST == 0:
            await asyncio.sleep(0)

    async def _send(self, start: int, step: Step) -> None:
        while not self.client.can_send:
            try:
                await self.client.ready()
            except Unanswered:
                continue  # the node is away for long: samples wait, and are sent late
        now = self._now()
        if self._pace.speed != inf and (now - start) / 1e9 - step.at / self._pace.speed > LATE:
            self.counts.late += 1
        if step.key is not None:
            self._remember(step.key, now)
        self.client.send(step.topic, step.payload, self._pace.qos, done=self._answered)
        self.counts.sent += 1

    def _remember(self, key: int, now: int) -> None:
        self._published[key] = now
        if len(self._published) > REMEMBERED:
            del self._published[next(iter(self._published))]

    def _answered(self, answer: Acknowledgement) -> None:
        if answer.accepted:
            self.counts.acknowledged += 1
        else:
            refused = self.counts.refused
            refused[answer.reason] = refused.get(answer.reason, 0) + 1

    def _took(self, message: Publish) -> None:
        now = self._now()
        self.counts.buzzes += 1
        try:
            key = to_ns(self._decode(message.payload).at) // 1000
        except (msgspec.DecodeError, ValueError):
            self.counts.unmatched += 1
            return
        sent = self._published.pop(key, None)
        if sent is None:
            self.counts.unmatched += 1
        else:
            self.round_trip.record(now - sent)


class Fleet:
    """All devices of a replay. `async with` connects them and closes them."""

    def __init__(
        self,
        scripts: Sequence[Script],
        settings: Settings,
        *,
        pace: Pace,
        seed: int,
        now: Callable[[], int],
    ) -> None:
        """`settings` are every device's, but for the client id; `now` is a monotonic clock in ns."""
        self._now = now
        self._start = now()
        self._tasks: list[Task[None]] = []
        self._stack = AsyncExitStack()
        self._settings = settings
        self.players: list[Player] = [
            Player(
                script,
                Client(
                    msgspec.structs.replace(settings, client_id=script.device),
                    reconnect=Backoff(random=Random(f"{seed}/{script.device}")),  # noqa: S311 (spreads attempts)
                ),
                pace,
                now,
            )
            for script in scripts
        ]

    async def __aenter__(self) -> Self:
        """Connect every device.

        Raises:
            DeviceError: the first one that can't.
        """
        turns = Semaphore(CONNECTING)
        async with self._stack:
            tasks = [asyncio.create_task(self._connect(player, turns)) for player in self.players]
            try:
                await asyncio.gather(*tasks)
            except BaseException:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                raise
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop and say goodbye."""
        await self._stop()
        await self._stack.aclose()

    def start(self, event_start: int) -> None:
        """Start every device; the recordings' first moment is `event_start`, ns since the epoch."""
        self._start = self._now()
        self._tasks = [
            asyncio.create_task(player.play(self._start, event_start), name=player.script.device)
            for player in self.players
        ]

    async def finished(self) -> None:
        """Wait until every script is at its end; recordings of wearables have none."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def drain(self, seconds: float) -> None:
        """Send no more, and wait until everything is acknowledged, or that long."""
        await self._stop()
        await asyncio.gather(*[player.client.settle(seconds) for player in self.players])

    def report(self) -> Report:
        """Return what was done so far."""
        total, histogram = Counts(), Histogram()
        for player in self.players:
            total.add(player.counts)
            histogram.merge(player.round_trip)
        clients = [player.client for player in self.players]
        return Report(
            (self._now() - self._start) / 1e9,
            len(self.players),
            sum(client.is_connected for client in clients),
            total,
            sum(client.unacknowledged for client in clients),
            sum(client.reconnects for client in clients),
            sum(client.resent for client in clients),
            RoundTrip.of(histogram),
            {player.script.device: player.counts for player in self.players},
            {player.script.device: player.failure for player in self.players if player.failure},
        )

    async def _connect(self, player: Player, turns: Semaphore) -> None:
        async with turns:
            await self._stack.enter_async_context(player.client)
            await player.listen()

    async def _stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()
