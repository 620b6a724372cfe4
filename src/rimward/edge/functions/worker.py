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
from rimward.edge.functions.calls import FarEffects, failure_of, weight_of
from rimward.edge.functions.confining import Confining, allow_cpu
from rimward.edge.functions.prepared import Filling, Prepared, answer_of
from rimward.events import StateUnreadable
from rimward.wire.functions import (
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
    framed,
)

READ = 1 << 16  # bytes of one read: more would be mapped anew each time
HOLD = 200_000  # ns that an answer may wait for others to go with it
HELD = 1 << 16  # bytes of answers that may wait
CPU_EVERY = 1_000_000_000  # ns between two looks at what it has burnt
_clock = time.monotonic_ns
_readings = count(1)
_messages = msgspec.msgpack.Decoder(list[ToWorker]).decode  # made in the zygote: it takes a millisecond


class Worker:
    """The loop of a plain function's worker."""

    def __init__(
        self,
        app: App,
        prepared: Prepared,
        ends: tuple[socket.socket, int],
        begin: Begin,
        confining: Confining,
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
        self._encoder = msgspec.msgpack.Encoder()
        self._batch: list[FromWorker] = []
        self._weight = 0  # of the batch, about, bytes
        self._effects = FarEffects(app.facts, 0, _clock)  # of the call that runs
        self._flushed = 0
        self._cpu = begin.confined.cpu
        self._cpu_at = 0
        settings: Any = None
        if begin.settings is not None and prepared.config is not None:
            settings = msgspec.msgpack.decode(begin.settings, type=prepared.config)
        self.filling: Filling = prepared.filling(settings, self.cells, self)
        os.environ.update(begin.confined.environment)
        confining.finish(begin.confined)

    def read(self) -> None:
        """Wait for messages and put them into the inbox."""
        data = self.sock.recv(READ)
        if not data:
            os._exit(0)
        for frame in self._frames.take(data):
            self.inbox += _messages(frame)

    def run(self) -> NoReturn:
        """Work until the node closes the socket."""
        current.set(self._effects)
        while True:
            if not self.inbox:
                self.flush()
                self.read()
                continue
            ask = self.inbox.popleft()
            if type(ask) is Ask:
                self.call(ask)

    def call(self, ask: Ask) -> None:
        """Run one call."""
        marks, effects = self.marks, self._effects
        effects.offset = ask.offset
        begun = _clock()
        if self._cpu is not None and begun >= self._cpu_at:
            self._cpu_at = begun + CPU_EVERY
            allow_cpu(self._cpu, time.process_time())
        marks[1] = begun
        marks[0] = ask.number
        try:
            arguments, handles = self.filling.arguments(ask)
            result = self.prepared.call(*arguments)
        except BaseException as error:  # noqa: BLE001 (a user's function may raise anything; the node tells it)
            self.end(ask, begun, failure=failure_of(error))
        else:
            self.succeed(ask, begun, effects, handles, result)
        finally:
            effects.clear()
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
        if answer is not None:
            self._weight += len(answer.body)
        if left is not None:
            self._weight += weight_of(left)
        self.send(Ended(ask.number, now - own_since, left, answer))
        if now - self._flushed > HOLD or self._weight > HELD:
            self.flush()

    def end(self, ask: Ask, own_since: int, failure: Failure) -> None:
        """Send that a call has failed."""
        self.send(Ended(ask.number, _clock() - own_since, failure=failure))

    def send(self, message: FromWorker) -> None:
        """Put a message into what goes out next."""
        self._batch.append(message)

    def flush(self) -> None:
        """Send what waits."""
        if self._batch:
            self.sock.sendall(self._frame())
            self._batch.clear()
            self._weight = 0
        self._flushed = _clock()

    def _frame(self) -> bytearray:
        try:
            return framed(self._encoder, self._batch)
        except Exception:  # noqa: BLE001 (a value that can't be written: its call has failed, and no other)
            return framed(self._encoder, [self._writable(message) for message in self._batch])

    def _writable(self, message: FromWorker) -> FromWorker:
        try:
            self._encoder.encode(message)
        except Exception as error:
            if not isinstance(message, Ended):
                raise
            return Ended(message.number, message.own, failure=failure_of(error))
        return message

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
