"""Hooks of an app: each one call, its effects released when it returns, with a limit of time."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from rimward.app import States
from rimward.app.effects import current
from rimward.app.hooks import Hook
from rimward.edge.dispatch import Dispatcher
from rimward.edge.dispatch.call import Call
from rimward.edge.dispatch.ports import NODE
from rimward.edge.dispatch.types import Ticket
from rimward.edge.dispatch.version import Version
from rimward.edge.dispatch.work import Work
from rimward.events import RimwardError
from rimward.events.raised import place_of
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.hooks")

STOPPING = 3.0  # seconds that all hooks of a stop get together: who stops a node waits for some 5


class HookFailed(RimwardError):
    """A hook of a start raised, or took too long: the node does not start."""

    code = "hook"


class _TimeIsUp(BaseException):
    """Raised into a plain function that is over its limit; it is no Exception, which functions catch."""


class Hooks:
    """What runs once when a version of an app starts on a node, and once when it stops."""

    def __init__(self, version: Version, dispatcher: Dispatcher) -> None:
        """The dispatcher knows the version's facts, whether or not it runs it."""
        self._version = version
        self._dispatcher = dispatcher
        self._started = False

    async def start(self) -> None:
        """Run those of a start in their order, before anybody is let in.

        Raises:
            HookFailed: one raised or took too long, or what it forwards can't be kept.
        """
        for hook in self._version.app.hooks:
            if hook.moment == "start":
                await self._run(hook, hook.timeout)
        self._started = True

    async def stop(self) -> None:
        """Run those of a stop, the last one first, if the node had started; failures are told."""
        if not self._started:
            return
        loop, self._started = asyncio.get_running_loop(), False
        end = loop.time() + STOPPING
        for hook in reversed(self._version.app.hooks):
            if hook.moment != "stop":
                continue
            try:
                await self._run(hook, min(hook.timeout, max(0.01, end - loop.time())))
            except HookFailed as error:
                log.error("a stop hook failed", error=str(error))  # noqa: TRY400 (the sentence says it all)

    async def _run(self, hook: Hook, allowed: float) -> None:
        dispatcher = self._dispatcher
        work = Work(dispatcher, hook.name, b"", NODE, dispatcher.clocks.monotonic())
        call = Call(dispatcher, work)
        token = current.set(call)
        try:
            if hook.plan.is_async:
                await _within(allowed, hook.plan.function(*self._arguments(hook)))
            else:
                with _limited(allowed):
                    hook.plan.function(*self._arguments(hook))
        except _TimeIsUp as error:
            raise HookFailed(f"{hook.name}: on_{hook.moment} took longer than {allowed:g} s") from error
        except Exception as error:
            told = f"{type(error).__name__}: {error} at {place_of(error)}"
            raise HookFailed(f"{hook.name}: on_{hook.moment} raised {told}") from error
        finally:
            current.reset(token)
        if call.forwards:
            work.tx.forwards += call.forwards
            dispatcher.counters["forwards"] += len(call.forwards)
        dispatcher.router.publish_all(call.actions)
        dispatcher.actions += len(call.actions)
        await _ended(dispatcher.end(work), hook)

    def _arguments(self, hook: Hook) -> list[Any]:
        cells = self._version.cells
        return [
            self._version.settings
            if parameter.kind == "config"
            else States(cells[parameter.type].type, cells[parameter.type])
            for parameter in hook.plan.parameters
        ]


async def _within(allowed: float, waited: Coroutine[Any, Any, Any]) -> None:
    """Wait for a coroutine for so many seconds at most; its own TimeoutError is its own."""
    limit = asyncio.timeout(allowed)
    try:
        async with limit:
            await waited
    except TimeoutError:
        if limit.expired():
            raise _TimeIsUp from None
        raise


async def _ended(ticket: Ticket | None, hook: Hook) -> None:
    """Wait until what a hook forwards is on disk."""
    if ticket is None:
        return
    if not ticket.done:
        done = asyncio.Event()
        ticket.on_done = lambda _: done.set()
        await done.wait()
    if ticket.refusal is not None:
        raise HookFailed(
            f"{hook.name}: on_{hook.moment} forwards what can't be kept: {ticket.refusal.detail}"
        )


@contextmanager
def _limited(allowed: float) -> Generator[None]:
    """Interrupt what takes longer than so many seconds; where signals are not ours to use, let it be."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, ring)
    others, _ = signal.setitimer(signal.ITIMER_REAL, allowed)  # somebody else's alarm, such as a test's
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, others)
        signal.signal(signal.SIGALRM, before)
