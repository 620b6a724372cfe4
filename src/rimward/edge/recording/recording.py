"""The node's side of `rimward record`: it looks whether a recording is wanted, and makes it.

The loop's part is to hear (`Recorder`) and to hand on; files are read and written in a thread. Nothing else
of this package is imported before somebody asks.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rimward.app import App
from rimward.edge.dispatch import Dispatcher
from rimward.edge.recording.wish import CREDENTIALS, LEAST, RecordingConfig, Wish, path_of, read
from rimward.observe import Logger, get_logger

if TYPE_CHECKING:
    from rimward.edge.gateways.http import HttpGateway
    from rimward.edge.gateways.mqtt.gateway import MqttGateway
    from rimward.edge.recording.recorder import Recorder
    from rimward.edge.recording.redaction import Redactor
    from rimward.edge.recording.writing import End, RecordingFile
    from rimward.wire.recording import Line

log: Logger = get_logger("rimward.recording")

LOOK = 0.25  # seconds between two looks whether one is wanted, and between two writes
LINE = 200  # bytes that a line is taken for while it waits, beside its payload


class Doors(NamedTuple):
    """The gateways that know a short way past the dispatcher's ear."""

    mqtt: "MqttGateway"
    http: "HttpGateway"


class Queue:
    """What was heard and is not written yet."""

    def __init__(self, limit: int) -> None:
        self.dropped: int = 0  # events
        self._limit = limit
        self._size = 0
        self._events: list[list[Line]] = []

    def put(self, lines: "list[Line]") -> None:
        """Take an event with what came of it, or drop it where too much waits."""
        size = sum(LINE + _payload(line) for line in lines)
        if self._size + size > self._limit:
            self.dropped += 1
            return
        self._size += size
        self._events.append(lines)

    def take(self) -> "list[list[Line]]":
        """Return what waits."""
        events, self._events, self._size = self._events, [], 0
        return events


class _On(NamedTuple):
    """A recording that is on."""

    file: "RecordingFile"
    recorder: "Recorder"
    queue: Queue
    until: int  # monotonic ns


class Recording:
    """Makes what is asked for, one recording at a time."""

    def __init__(
        self,
        app: App,
        dispatcher: Dispatcher,
        doors: Doors,
        data: Path,
        config: RecordingConfig,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        """`wall` is the clock of whoever asks, ns."""
        self._app = app
        self._dispatcher = dispatcher
        self._doors = doors
        self._data = data
        self._config = config
        self._wall = wall
        self._monotonic = dispatcher.clocks.monotonic
        self._on: _On | None = None
        self._last = ""  # name of the newest wish that was taken up

    def problem(self) -> str | None:
        """Tell that a recording is on, whoever looks at the node's health."""
        if self._on is None:
            return None
        return f"on: {self._on.recorder.events} events so far are in {self._on.file.path.name}"

    async def follow(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Begin, go on or end, as it is wanted."""
        wish, on = await asyncio.to_thread(read, self._data), self._on
        if on is None:
            if wish is not None and wish.name != self._last and wish.until > self._wall():
                self._last = wish.name
                await self._begin(wish)
            return
        await asyncio.to_thread(self._write, on)
        if wish is None or wish.name != on.file.path.stem:
            await self._end(on, "stopped")
        elif on.file.full:
            await self._end(on, "bytes")
        elif self._monotonic() >= on.until:
            await self._end(on, "time")

    def turn(self, app: App) -> Coroutine[Any, Any, None] | None:
        """End what is on: another version of the app runs, whose payloads may have other labels.

        Nothing more is heard; what is returned, if anything, writes the rest.
        """
        self._app = app
        return None if (on := self._on) is None else self._finished(on, self._detach(on), "node")

    async def close(self) -> None:
        """End what is on: the node stops."""
        if self._on is not None:
            await self._end(self._on, "node")

    async def _begin(self, wish: Wish) -> None:
        from rimward.edge.recording.beginning import lines_of, memory_of
        from rimward.edge.recording.labels import Labels
        from rimward.edge.recording.recorder import Recorder
        from rimward.edge.recording.redaction import Redactor
        from rimward.edge.recording.writing import redacted_of

        redactor = Redactor((*CREDENTIALS, *wish.fields), os.urandom(16))
        file = await asyncio.to_thread(self._open, wish, redactor)
        if file is None:
            return
        queue = Queue(self._config.pending_bytes)
        labels = Labels(self._app, self._dispatcher, wish.labels)
        recorder = Recorder(self._dispatcher, labels, queue.put)
        begun = recorder.begun(self._app.name)
        memory = None if labels.strict else memory_of(self._dispatcher)
        recorder.attach()
        self._doors.mqtt.door = recorder
        self._doors.http.known.pause()
        left = min(round(self._config.max_seconds * 1e9), wish.until - self._wall())
        self._on = _On(file, recorder, queue, self._monotonic() + left)
        state = "withheld" if labels.strict else "too large"
        lines: list[Line] | None = None
        if memory is not None:
            most = min(self._config.state_bytes, wish.max_bytes // 2)
            lines = await asyncio.to_thread(lines_of, memory, most)
        if lines is not None:
            state = "kept"
        first: list[Line] = [redacted_of(begun, redactor, wish.labels, state), *(lines or ())]
        await asyncio.to_thread(self._first, file, first)
        log.info("a recording has begun", file=file.path.name)

    def _open(self, wish: Wish, redactor: "Redactor") -> "RecordingFile | None":
        from rimward.edge.recording.writing import RecordingFile

        try:
            limit = max(LEAST, min(wish.max_bytes, self._config.max_bytes))
            return RecordingFile(path_of(self._data, wish.name), limit, redactor)
        except OSError as error:
            log.warning("a recording can't be made", reason=error.strerror or str(error))
            return None

    def _first(self, file: "RecordingFile", lines: "list[Line]") -> None:
        try:
            file.write([lines])
        except OSError as error:
            self._failed(file, error)

    def _write(self, on: _On) -> None:
        try:
            on.file.write(on.queue.take())
        except OSError as error:
            self._failed(on.file, error)

    def _failed(self, file: "RecordingFile", error: OSError) -> None:
        file.full = True
        log.warning("a recording can't be written on", reason=error.strerror or str(error))

    async def _end(self, on: _On, why: "End") -> None:
        await self._finished(on, self._detach(on), why)

    def _detach(self, on: _On) -> int:
        """Hear no more; return when that was, ns since the recording began."""
        on.recorder.detach()
        self._doors.mqtt.door = self._dispatcher
        self._doors.http.known.resume()
        self._on = None
        return self._dispatcher.wall_of(self._dispatcher.clocks.monotonic()) - on.recorder.at

    async def _finished(self, on: _On, at: int, why: "End") -> None:
        await asyncio.to_thread(self._finish, on, at, why)
        log.info("a recording has ended", file=on.file.path.name, events=on.recorder.events)

    def _finish(self, on: _On, at: int, why: "End") -> None:
        self._write(on)
        try:
            on.file.end(at, "bytes" if on.file.full else why, on.queue.dropped)
        except OSError as error:
            log.warning("a recording has no last line", reason=error.strerror or str(error))


def _payload(line: "Line") -> int:
    """Return about how many bytes a line has beside its names."""
    body = getattr(line, "payload", None)
    return 0 if body is None else len(body.text or body.base64 or b"")
