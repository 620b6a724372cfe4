"""A worker of an async function: many of its calls wait at a time, and one runs."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, NoReturn

import msgspec

from rimward.app.device import Device
from rimward.app.effects import current, encode_payload
from rimward.app.state import State
from rimward.edge.functions.calls import FarEffects, failure_of
from rimward.edge.functions.worker import Worker
from rimward.events import CommandTimeout, NotConnected, RimwardError
from rimward.wire.functions import Ask, Command, Failure, FromWorker, Look, Seen, Told

_ERRORS: dict[str, type[RimwardError]] = {one.code: one for one in (CommandTimeout, NotConnected)}
_clock = time.monotonic_ns


class WaitingWorker(Worker):
    """The loop of an async function's worker."""

    def run(self) -> NoReturn:
        """Work until the node closes the socket."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: dict[int, asyncio.Future[Told]] = {}
        self._count = 0
        self._flushing = False
        asyncio.run(self._serve())
        raise AssertionError

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.sock, self._readable)
        await self._loop.create_future()  # the end of the socket ends the process

    def _readable(self) -> None:
        self.read()
        self._drain()

    def _drain(self) -> None:
        while self.inbox:
            message = self.inbox.popleft()
            if isinstance(message, Ask):
                self.call(message)
            elif isinstance(message, Told) and (waiting := self._commands.pop(message.command, None)):
                waiting.set_result(message)

    def call(self, ask: Ask) -> None:
        """Begin one call."""
        effects, context = FarEffects(self.app.facts, ask.offset, _clock), copy_context()
        context.run(current.set, effects)
        task = self._loop.create_task(self._run(ask, effects), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, ask: Ask, effects: FarEffects) -> None:
        steps: _Steps | None = None
        limit = asyncio.timeout(self.prepared.timeout)
        try:
            arguments, handles = self.filling.arguments(ask)
            steps = _Steps(self.prepared.call(*arguments), ask.number, self.marks)
            async with limit:
                result = await steps
        except TimeoutError as error:
            if limit.expired():
                text = f"it took longer than {self.prepared.timeout:g} s"
                self._fail(ask, steps, Failure("TimeoutError", text, "?"))
            else:
                self._fail(ask, steps, failure_of(error))
        except BaseException as error:  # noqa: BLE001 (a user's function may raise anything; the node tells it)
            self._fail(ask, steps, failure_of(error))
        else:
            self._succeed(ask, steps, effects, handles, result)

    def _succeed(
        self, ask: Ask, steps: "_Steps", effects: FarEffects, handles: list[State[Any]], result: Any
    ) -> None:
        self.succeed(ask, _clock() - steps.own, effects, handles, result)

    def _fail(self, ask: Ask, steps: "_Steps | None", failure: Failure) -> None:
        self.end(ask, _clock() - (0 if steps is None else steps.own), failure)

    def send(self, message: FromWorker) -> None:
        """Put a message into what goes out at the end of the turn."""
        super().send(message)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush_turn)

    def _flush_turn(self) -> None:
        self._flushing = False
        self.flush()

    def look(self, look: Look) -> Seen:
        """Ask the node for values and wait for them, as a plain function does."""
        found = super().look(look)
        if self.inbox:
            self._loop.call_soon(self._drain)
        return found

    async def command(self, device: Device, name: str, payload: Any, *, allowed: float, reply: Any) -> Any:
        """Have the node send the call's device a command, and wait for its acknowledgement."""
        del device
        self._count += 1
        number = self._count
        waiting = self._commands[number] = self._loop.create_future()
        body = b"" if payload is None else encode_payload(payload)
        try:
            self.send(Command(self.marks[0], number, name, body, allowed))
            told = await waiting
        finally:
            self._commands.pop(number, None)
        if told.error is not None:
            raise _ERRORS.get(told.error, RuntimeError)(told.detail)
        return None if reply is None else _value_of(told, reply, name)


class _Steps:
    """A coroutine that says in the worker's page when it runs."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int, marks: memoryview) -> None:
        self._coroutine = coroutine
        self._number = number
        self._marks = marks
        self.own: int = 0  # ns

    def __await__(self) -> Generator[Any, Any, Any]:
        advance: Callable[[Any], Any] = self._coroutine.send
        given: Any = None
        while True:
            begun = _clock()
            self._marks[1] = begun
            self._marks[0] = self._number
            try:
                waited = advance(given)
            except StopIteration as stop:
                return stop.value
            finally:
                self._marks[0] = 0
                self.own += _clock() - begun
            advance, given = self._coroutine.send, None
            try:
                given = yield waited
            except BaseException as error:  # noqa: BLE001 (a cancellation goes into the coroutine, as await would)
                advance, given = self._coroutine.throw, error


def _value_of(told: Told, type_: Any, name: str) -> Any:
    """Return an acknowledgement as a value.

    Raises:
        ValueError: it is not of the type.
    """
    try:
        if type_ is bytes:
            return told.body
        if type_ is str:
            return told.body.decode()
        if told.form is None:
            raise ValueError("its content type can't be read")  # noqa: TRY301 (one way out)
        codec = msgspec.json if told.form == "json" else msgspec.msgpack
        return codec.decode(told.body, type=type_)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f"the acknowledgement of {name!r} does not fit: {error}") from None
