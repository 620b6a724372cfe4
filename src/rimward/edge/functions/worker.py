"""A worker: runs the calls of one function, one after the other, for as long as its node and zygote live.

It was forked from the zygote, confines itself, and knows nothing but the app and what its socket says. Its
page tells the node which call it works on, should it die.
"""

import mmap
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any, NoReturn

import msgspec

from rimward.app import App
from rimward.app.device import Device
from rimward.app.effects import current
from rimward.app.state import State, StateType
from rimward.edge.functions.calls import FarEffects, failure_of
from rimward.edge.functions.confining import Ground, allow_cpu, confine
from rimward.edge.functions.prepared import Filling, Prepared, answer_of
from rimward.events import StateUnreadable
from rimward.wire.functions import (
    LENGTH,
    MARK,
    Ask,
    Begin,
    Ended,
    Failure,
    Frames,
    FromWorker,
    Look,
    Seen,
    ToWorker,
)

READ = 1 << 18  # bytes of one read
HOLD = 200_000  # ns that an answer may wait for others to go with it
HELD = 1 << 16  # bytes of answers that may wait
CPU_EVERY = 1_000_000_000  # ns between two looks at what it has burnt
_NO_LENGTH = bytes(LENGTH)
_clock = time.monotonic_ns
_readings = count(1)


class Worker:
    """The loop of a plain function's worker."""

    def __init__(
        self, app: App, prepared: Prepared, ends: tuple[socket.socket, int], begin: Begin, ground: Ground
    ) -> None:
        """Make ready, and confine this process; `ends` are its socket and its page's descriptor."""
        self.app = app
        self.prepared = prepared
        sock, page = ends
        self.sock: socket.socket = sock
        self.inbox: deque[ToWorker] = deque()
        self.marks: memoryview = memoryview(mmap.mmap(page, MARK)).cast("Q")
        os.close(page)
        self._frames = Frames()
        self._decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
        self._encoder = msgspec.msgpack.Encoder()
        self._out = bytearray()
        self._flushed = 0
        self._cpu = begin.confined.cpu
        self._cpu_at = 0
        settings: Any = None
        if begin.settings is not None and prepared.config is not None:
            settings = msgspec.msgpack.decode(begin.settings, type=prepared.config)
        self.filling: Filling = prepared.filling(settings, self.cells, self)
        os.environ.update(begin.confined.environment)
        confine(begin.confined, ground)

    def read(self) -> None:
        """Wait for messages and put them into the inbox."""
        data = self.sock.recv(READ)
        if not data:
            os._exit(0)
        for frame in self._frames.take(data):
            self.inbox.append(self._decoder.decode(frame))

    def run(self) -> NoReturn:
        """Work until the node closes the socket."""
        while True:
            if not self.inbox:
                self.flush()
                self.read()
                continue
            ask = self.inbox.popleft()
            if isinstance(ask, Ask):
                self.call(ask)

    def call(self, ask: Ask) -> None:
        """Run one call."""
        marks, effects = self.marks, FarEffects(self.app.facts, ask.offset, _clock)
        begun = _clock()
        if self._cpu is not None and begun >= self._cpu_at:
            self._cpu_at = begun + CPU_EVERY
            allow_cpu(self._cpu, time.process_time())
        marks[1] = begun
        marks[0] = ask.number
        token = current.set(effects)
        try:
            arguments, handles = self.filling.arguments(ask)
            result = self.prepared.call(*arguments)
        except BaseException as error:  # noqa: BLE001 (a user's function may raise anything; the node tells it)
            self.end(ask, begun, failure=failure_of(error))
        else:
            self.succeed(ask, begun, effects, handles, result)
        finally:
            current.reset(token)
            marks[0] = 0

    def succeed(
        self, ask: Ask, own_since: int, effects: FarEffects, handles: list[State[Any]], result: Any
    ) -> None:
        """Send what a call returned and leaves; `own_since` is now less what it took."""
        try:
            answer = None if result is None else answer_of(result, ask.written)
            left = effects.left(handles)
        except Exception as error:  # noqa: BLE001 (a value that can't be written: nothing of the call is kept)
            self.end(ask, own_since, failure=failure_of(error))
            return
        now = _clock()
        self.send(Ended(ask.number, now - own_since, left, answer))
        if now - self._flushed > HOLD or len(self._out) > HELD:
            self.flush()

    def end(self, ask: Ask, own_since: int, failure: Failure) -> None:
        """Send that a call has failed."""
        self.send(Ended(ask.number, _clock() - own_since, failure=failure))

    def send(self, message: FromWorker) -> None:
        """Put a message into what goes out next."""
        out = self._out
        at = len(out)
        out += _NO_LENGTH
        self._encoder.encode_into(message, out, at + LENGTH)
        out[at : at + LENGTH] = (len(out) - at - LENGTH).to_bytes(LENGTH, "big")

    def flush(self) -> None:
        """Send what waits."""
        if self._out:
            self.sock.sendall(self._out)
            self._out.clear()
        self._flushed = _clock()

    # -- what a call asks for

    def cells(self, type_: StateType[Any]) -> "FarCells":
        """Return the committed cells of a state, which are the node's."""
        return FarCells(self, type_)

    def look(self, look: Look) -> Seen:
        """Ask the node for values and wait for them; calls that come meanwhile wait in the inbox.

        Raises:
            StateUnreadable: this version of the app can't read one.
        """
        self.send(look)
        self.flush()
        while True:
            for at, message in enumerate(self.inbox):
                if isinstance(message, Seen) and message.number == look.number:
                    del self.inbox[at]
                    if message.error is not None:
                        raise StateUnreadable(message.error)
                    return message
            self.read()

    async def command(self, device: Device, name: str, payload: Any, *, allowed: float, reply: Any) -> Any:
        """Refuse: who awaits runs in another kind of worker."""
        del device, name, payload, allowed, reply
        raise RuntimeError("device.command is awaited: write async def")


class FarCells:
    """Cells that the node has."""

    def __init__(self, worker: Worker, type_: StateType[Any]) -> None:
        self._worker = worker
        self._type = type_

    def _look(self, key: str | None, reading: int = 0) -> Seen:
        return self._worker.look(Look(self._worker.marks[0], self._type.name, key, reading))

    def find(self, key: str) -> Any:
        """Return a cell's committed value."""
        found = self._look(key).values.get(key)
        return None if found is None else self._type.form.read(found)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield every key with its committed value."""
        reading, more = next(_readings), True
        while more:
            seen = self._look(None, reading)
            for key, value in seen.values.items():
                yield key, self._type.form.read(value)
            more = seen.more
