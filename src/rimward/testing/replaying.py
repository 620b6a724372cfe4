"""A recording given to an app's functions again, under the Site's clock, and the log of what they make.

The same code makes the same log, byte for byte: time stands at each event's own moment, `app.now()` tells
what it told then, ids of events and the numbers of `random` go on from where they were, and what the
operating system gives at random (`uuid4`, `secrets`) is drawn from a seed. What a function asks the machine
itself (`time.time()`, files, the network) is the machine's of today.
"""

import os
import random
import struct
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rimward.app import App
from rimward.app.effects import Action as Published
from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch import FunctionRun
from rimward.edge.dispatch.types import Message, Request, Sender
from rimward.edge.outbox import OutboxCore
from rimward.edge.recording.labels import Labels
from rimward.edge.recording.recorder import Recorder
from rimward.events import from_ns
from rimward.testing.folder import temporary
from rimward.testing.log import Log, Outcome
from rimward.testing.site import Site
from rimward.wire.recording import (
    Action,
    Answered,
    Asked,
    Beaten,
    Begun,
    Clock,
    Command,
    Ended,
    Input,
    Kept,
    Line,
    RecordingError,
    Stored,
    decode,
)
from rimward.wire.recording import Message as Heard


class Tape:
    """A recording's lines, event by event."""

    def __init__(self, lines: Iterable[Line]) -> None:
        """Read up to the first event.

        Raises:
            RecordingError: it is none.
        """
        self._lines = iter(lines)
        first = next(self._lines, None)
        if not isinstance(first, Begun):
            raise RecordingError("the file has no line of a recording")
        self.begun: Begun = first
        self.ended: Ended | None = None  # once all is read
        self.memory: dict[tuple[str, str], bytes] = {}
        self.log: Log = Log()  # of the node, as far as it was read
        self._next = self._read()

    def events(self) -> Generator[tuple[Input, tuple[int, ...]]]:
        """Yield each event with the times that its functions were told, ns after the beginning."""
        while (line := self._next) is not None:
            if not isinstance(line, Heard | Asked | Beaten):
                raise RecordingError(f"a line {line!r} stands where an event should")
            readings: tuple[int, ...] = ()
            self._next = self._read()
            if isinstance(self._next, Clock):
                readings = self._next.now
                self._next = self._read()
            self.log.event(line)
            yield line, readings

    def _read(self) -> Line | None:
        """Return the next line that is no effect."""
        for line in self._lines:
            match line:
                case Action() | Command() | Stored() | Answered():
                    self.log.effect(line)
                case Kept():
                    self.memory[line.space, line.key] = line.value
                case Ended():
                    self.ended = line
                case _:
                    return line
        return None


async def replay(app: App, recording: Path, *, seed: int = 0, each: bool = False) -> Outcome:
    """Give an app a recording's events, each at its time, and return what its functions made of them.

    Events whose payload was withheld are left out, with what came of them. With `each`, what is drawn at
    random begins anew with each event, as it does not on a node: two codes then differ only where they do,
    even if one of them draws more.

    Raises:
        RecordingError: the file is no recording.
        OSError: it can't be read.
    """
    with (
        recording.open("rb") as file,
        temporary("replay") as name,
        drawn(seed),
    ):
        folder, tape = Path(name), Tape(decode(file))
        _remember(folder, tape)
        async with Site(app, seed=seed, start=from_ns(tape.begun.at), data=folder) as site:
            return await _run(app, site, tape, seed if each else None)


async def _run(app: App, site: Site, tape: Tape, seed: int | None) -> Outcome:
    begun, dispatcher = tape.begun, site.node.dispatcher
    log, beginning = Log(), site.clock.monotonic()
    dispatcher.tracing.boot = begun.boot
    dispatcher._event_count = begun.events
    dispatcher.commands._prefix, dispatcher.commands._count = begun.boot, begun.commands
    dispatcher.router = _Nobody()
    ear = _Ear(app, site, begun, log)
    ear.attach()
    if begun.random:
        numbers = struct.unpack(f"<{len(begun.random) // 4}I", begun.random)
        random.setstate((3, numbers, begun.gauss))
    left_out: set[int] = set()
    for line, readings in tape.events():
        await site.advance_to(max(site.clock.monotonic(), beginning + line.at))
        if not isinstance(line, Beaten) and line.payload.withheld is not None:
            left_out.add(line.n)
            continue
        log.event(line)
        with nullcontext() if seed is None else drawn(f"{seed}-{line.n}"):
            ear.run(line, readings)
        await site.breathe()
    if tape.ended is not None:
        await site.advance_to(max(site.clock.monotonic(), beginning + tape.ended.at))
    await site.until(lambda: False)
    ear.detach()
    tape.log.leave_out(left_out)
    return Outcome(log, tape.log, len(left_out), tape.begun.state, complete=tape.ended is not None)


class _Ear(Recorder):
    """Feeds a recording's events to a dispatcher, and hears what comes of them."""

    def __init__(self, app: App, site: Site, begun: Begun, log: Log) -> None:
        dispatcher = site.node.dispatcher
        super().__init__(dispatcher, Labels(app, dispatcher, begun.labels), self._take)
        self.at: int = begun.at
        self._site = site
        self._log = log
        self._beats = begun.beats
        self._readings: deque[int] = deque()

    def run(self, line: Input, readings: Sequence[int]) -> None:
        """Let one event come in."""
        self._readings = deque(readings)
        self.events: int = line.n - 1
        read_at = self._site.clock.monotonic()
        match line:
            case Heard():
                self.message(_message(line, read_at))
            case Asked():
                self.request(_request(line, read_at))
            case Beaten():
                run = self._dispatcher.functions.get(line.function)
                if run is not None:
                    super().beat(run)
        self._readings.clear()
        self._site.clock.run()

    def beat(self, run: FunctionRun) -> None:
        """Let only those functions run at a beat of their own that had none in the recording."""
        if run.name not in self._beats:
            self.listens: bool = False
            try:
                self._dispatcher.beat(run)
            finally:
                self.listens = True

    def _read_wall(self) -> int:
        return self.at + self._readings.popleft() if self._readings else self._wall()

    def _take(self, lines: list[Line]) -> None:
        for line in lines:
            if isinstance(line, Action | Command | Stored | Answered):
                self._log.effect(line)


class _Nobody:
    """A router without subscribers; every device takes its commands."""

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> int:
        del topic, payload, qos, retain
        return 0

    def publish_all(self, actions: Sequence[Published]) -> None:
        pass

    def flush(self) -> None:
        pass

    def command(self, device: str, name: str, payload: bytes, number: str) -> None:
        pass

    def reaches(self, device: str, name: str) -> None:
        pass


def _message(line: Heard, read_at: int) -> Message:
    return Message(
        topic=line.topic,
        payload=line.payload.read(),
        qos=line.qos,
        sender=Sender(line.sender, line.protocol, line.user),
        read_at=read_at,
        content_type=line.content_type,
        response_topic=line.response_topic,
        correlation=line.correlation,
        traceparent=line.traceparent,
        attributes=line.attributes,
    )


def _request(line: Asked, read_at: int) -> Request:
    return Request(
        method=line.method,
        path=line.path,
        query=line.query,
        headers=dict(line.headers),
        body=line.payload.read(),
        sender=Sender(line.sender, line.protocol, line.user),
        read_at=read_at,
    )


def _remember(folder: Path, tape: Tape) -> None:
    """Put what the node remembered into a fresh outbox."""
    if tape.memory:
        (folder / "node").mkdir()
        core = OutboxCore(folder / "node" / "outbox.db", lambda: tape.begun.at, OutboxConfig())
        core.load()
        core.commit([], dict(tape.memory), [])
        core.close()


@contextmanager
def drawn(seed: int | str) -> Generator[None]:
    """Let the operating system's random bytes, and `random`, come from a seed."""
    chance = random.Random(seed)  # noqa: S311 (the same in each replay, on purpose)
    before, state = os.urandom, random.getstate()
    places: list[tuple[object, str]] = [(os, "urandom"), (random, "_urandom")]
    draw: Callable[[int], bytes] = chance.randbytes
    random.seed(seed)
    for place, name in places:
        setattr(place, name, draw)
    try:
        yield
    finally:
        for place, name in places:
            setattr(place, name, before)
        random.setstate(state)
