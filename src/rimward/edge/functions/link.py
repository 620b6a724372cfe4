"""The node's end of one worker: calls out, answers in, and what is left of them when it dies."""

import asyncio
import mmap
import os
import socket
from contextlib import suppress
from typing import Protocol

import msgspec
from msgspec import Struct

from rimward.observe import Logger, get_logger
from rimward.wire.functions import (
    MARK,
    Ask,
    Begin,
    Caller,
    Command,
    Ended,
    FrameError,
    Frames,
    FromWorker,
    Look,
    Told,
    ToWorker,
    framed,
    weight,
)

log: Logger = get_logger("rimward.workers")

READ = 1 << 16  # bytes of one read: more would be mapped anew each time
FULL = 1 << 20  # bytes of a batch, beyond which another one is begun
PAGE = mmap.PAGESIZE


class Pending(Struct, gc=False):
    """A call that has been given to a worker."""

    ask: Ask
    caller: Caller
    weight: int = 0  # bytes that it takes on its way, about
    commanded: bool = False  # an effect has left: it can't be begun again
    deaths: int = 0  # of workers that had it, and of which none knows what they worked on


class Owner(Protocol):
    """Who has the worker."""

    def closed(self, link: "Link") -> None:
        """Its socket has closed."""
        ...

    def done(self, pending: Pending) -> None:
        """It has answered a call."""
        ...


class Link:
    """One worker, from before it is forked until its socket has closed."""

    def __init__(self, owner: Owner, number: tuple[int, int], born_at: int, begin: Begin) -> None:
        """`number` is its own and its place among its owner's; `born_at` is monotonic ns."""
        self.owner: Owner = owner
        self.number: int = number[0]
        self.at: int = number[1]
        self.born_at: int = born_at
        self.pid: int | None = None
        self.bytes: int = 0  # that it had resident when it was first looked at
        self.calls: int = 0  # that have ended
        self.asked: int = 0
        self.retiring: bool = False  # it gets no new calls
        self.last: bool = False  # and no worker of its version comes after it: its calls begin nowhere again
        self.over: int = 0  # the call that was over its limit, for which it was killed
        self.seen: tuple[int, int] = (0, 0)  # the call that it was last seen at, and its CPU time then, ns
        self.excused: bool = False  # its zygote has died: that was no call's fault
        self.status: int | None = None  # exit code, negative for a signal
        self.text: str = ""  # what the zygote says of its end
        self.eof: bool = False
        self.pending: dict[int, Pending] = {}
        self._loop = asyncio.get_running_loop()
        mine, far = socket.socketpair()
        self._mine = mine
        self.far: socket.socket = far
        self._mine.setblocking(False)
        self.page: int = os.memfd_create("rimward-worker", os.MFD_CLOEXEC)
        os.ftruncate(self.page, PAGE)
        self._memory = mmap.mmap(self.page, MARK)
        self.marks: memoryview = memoryview(self._memory).cast("Q")
        self._frames = Frames()
        self._decoder: msgspec.msgpack.Decoder[list[FromWorker]] = msgspec.msgpack.Decoder(list[FromWorker])
        self._encoder = msgspec.msgpack.Encoder()
        self._out = framed(self._encoder, begin)  # what the socket has not taken yet
        self._batch: list[ToWorker] = []
        self._weight = 0  # of the batch, about, bytes
        self._due = False
        self._writing = False  # the socket is full: the loop tells when there is room
        self._loop.add_reader(self._mine, self._readable)
        self._flush()

    def give_away(self) -> None:
        """Close what the worker has now."""
        self.far.close()
        if self.page >= 0:
            os.close(self.page)
            self.page = -1

    def ask(self, pending: Pending) -> None:
        """Give it a call: at once where it has none, else with the others of this turn of the loop."""
        idle = not self.pending
        pending.weight = size = weight(pending.ask)
        self.pending[pending.ask.number] = pending
        self.asked += 1
        self._batch.append(pending.ask)
        self._weight += size
        if idle:
            self._flush()
        elif self._weight > FULL:
            self._pack()
        if not self._due and not self._writing and self._batch:
            self._due = True
            self._loop.call_soon(self._flush_turn)

    def _pack(self) -> None:
        """Write the batch behind what the socket has not taken yet."""
        frame = framed(self._encoder, self._batch)
        self._batch.clear()
        self._weight = 0
        if self._out:
            self._out += frame
        else:
            self._out = frame

    def _flush_turn(self) -> None:
        self._due = False
        self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._pack()
        out = self._out
        if self.eof or not out:
            return
        try:
            sent = self._mine.send(out)
        except BlockingIOError:
            sent = 0
        except OSError:  # it is gone: the end of its socket says so too
            return
        del out[:sent]
        if bool(out) is not self._writing:
            self._writing = bool(out)
            if out:
                self._loop.add_writer(self._mine, self._flush)
            else:
                self._loop.remove_writer(self._mine)

    def _readable(self) -> None:
        try:
            data = self._mine.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        decode, pending, done = self._decoder.decode, self.pending, self.owner.done
        try:
            for frame in self._frames.take(data):
                for message in decode(frame):
                    if type(message) is not Ended:
                        self._serve(message)
                    elif (ended := pending.pop(message.number, None)) is not None:
                        self.calls += 1
                        done(ended)
                        ended.caller.ended(message)
        except (msgspec.MsgspecError, FrameError) as error:
            log.error("a worker speaks nonsense", pid=self.pid, error=str(error))  # noqa: TRY400 (the sentence says it all)
            self.close()
        if self.retiring and not pending:
            self.close()

    def _serve(self, message: FromWorker) -> None:
        asked = self.pending.get(message.number)
        if asked is None:
            return
        if isinstance(message, Command):
            asked.commanded = True
            asked.caller.command(message, self._tell)
        elif isinstance(message, Look):
            self._send(asked.caller.look(message))

    def _tell(self, told: Told) -> None:
        if not self.eof:
            self._send(told)

    def _send(self, message: ToWorker) -> None:
        """Send what a call waits for."""
        self._batch.append(message)
        self._flush()

    def drain(self) -> None:
        """Read all that it has sent; nothing more comes."""
        while not self.eof:
            before = self.calls
            self._readable()
            if self.calls == before:
                return

    def close(self) -> None:
        """Let go of it: a worker that still lives ends."""
        if self.eof:
            return
        self.eof = True
        self._loop.remove_reader(self._mine)
        if self._writing:
            self._loop.remove_writer(self._mine)
        self._mine.close()
        self.give_away()
        self.owner.closed(self)

    def release(self) -> int:
        """Give its page back; return the number of the call that it worked on, 0 for none."""
        number = int(self.marks[0])
        with suppress(BufferError):
            self.marks.release()
            self._memory.close()
        return number
