"""Calls that the longer way makes: the slot around them, their effects, what becomes of those that fail."""

from collections.abc import Callable
from typing import Any, Protocol

from rimward.app.device import Device
from rimward.app.effects import current
from rimward.edge.dispatch.away import Away
from rimward.edge.dispatch.call import Call, Ground
from rimward.edge.dispatch.commands import Commands
from rimward.edge.dispatch.failures import failed
from rimward.edge.dispatch.functions import Bound, FunctionRun, Held, fill
from rimward.edge.dispatch.marking import Mark, event_of
from rimward.edge.dispatch.modes import Modes
from rimward.edge.dispatch.ports import Clocks, Conduct
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.waiting import Waiting
from rimward.edge.dispatch.work import Desk, Work
from rimward.edge.stopping import Stopped
from rimward.events import OutboxBroken, StateUnreadable, WorkerDied, WorkerStopped


class Host(Ground, Desk, Protocol):
    """What a call asks of the dispatcher."""

    node: str
    clocks: Clocks
    tracing: Tracing
    conduct: Conduct
    commands: Commands
    modes: Modes
    waiting: Waiting
    words: memoryview
    away: Away | None

    def succeeded(self, bound: Bound, call: Call, held: Held | None, work: Work, result: Any) -> None:
        """Release a call's effects; it raises, and releases nothing, where its reply can't be written."""
        ...

    def measure(self, run: FunctionRun, work: Work, begun: int, ended: int) -> None:
        """Record a call's times, monotonic ns."""
        ...


def refuse_killer(tracing: Tracing, run: FunctionRun, work: Work, now: int) -> bool:
    """Refuse and bury an event that has killed its process more than once; tell whether it is one."""
    if event_of(work) not in run.killers:
        return False
    run.figures.failed()
    work.error = "killed its process"
    work.refuse("failed", f"{run.name} did not survive this event")
    work.bury("killed", f"{run.name} did not survive this event, more than once", run.name)
    tracing.note(work, run.name, now, now, over=False)
    return True


def call(host: Host, bound: Bound, payload: Any, work: Work, given: Any) -> None:
    """Run one function on a message; `given` is the value of the stream that it has instead of a payload."""
    run = bound.run
    if host.modes.leaves_out(bound, work):
        return
    if run.killers and refuse_killer(host.tracing, run, work, host.clocks.monotonic()):
        return
    try:
        held = Held(bound) if bound.slots else None
    except (StateUnreadable, OutboxBroken) as unread:
        now = host.clocks.monotonic()
        failed(host.tracing, run, work, unread, (now, now))
        return
    if run.runs != "inline" and host.away is not None:
        host.away.run(bound, payload, given, work, held)
        return
    effects = Call(host, work)
    arguments = _arguments(host, bound, payload, work, held)
    if run.is_async:
        host.waiting.run(bound, arguments, effects, held, work)
        return
    error, times = run_plainly(host, bound, run.call, (arguments, effects, held), work)
    if error is None:
        host.measure(run, work, *times)
    else:
        failing(host, bound, work, error, times, given)


def run_plainly(
    host: Host,
    bound: Bound,
    function: Callable[..., Any],
    ground: tuple[list[Any], Call, Held | None],
    work: Work,
) -> tuple[BaseException | None, tuple[int, int]]:
    """Call a plain function and release its effects; return what went wrong, and its times, monotonic ns."""
    arguments, effects, held = ground
    now, mark = host.clocks.monotonic, Mark(host.words, bound.run, work)
    error: BaseException | None = None
    token = current.set(effects)
    begun = now()
    try:
        mark.begin(begun)
        try:
            result = function(*arguments)
        finally:
            mark.end()
            current.reset(token)
        host.succeeded(bound, effects, held, work, result)
    except Exception as raised:  # noqa: BLE001 (a user's function may raise anything; it is counted and told)
        error = raised
    except Stopped as stopped:
        error = stopped.settle()
    return error, (begun, now())


def failing(
    host: Host, bound: Bound, work: Work, error: BaseException, times: tuple[int, int], given: Any = None
) -> None:
    """Do with an event what is to be done when its call raised, or was stopped.

    `times` are when it began and ended, monotonic ns; `given` is the value of the stream that it had.
    """
    run = bound.run
    if isinstance(error, WorkerDied):
        host.conduct.died(run.name, event_of(work))
    if isinstance(error, Stopped | WorkerStopped):
        run.figures.stopped += 1
        if isinstance(error, Stopped):
            host.conduct.stopped(run.name, error.place, times[1] - times[0])
        if run.fallback is not None:
            _fall_back(host, bound, work, times, given)
            return
    failed(host.tracing, run, work, error, times)


def _fall_back(host: Host, bound: Bound, work: Work, times: tuple[int, int], given: Any) -> None:
    """Have a function's fallback answer in its place, with the same arguments."""
    run, payload = bound.run, given
    assert run.fallback is not None
    if given is None and bound.payload_at >= 0:
        payload = run.decoded(work.data, work.content_type)  # anew: the function may have changed the first
    held, effects = Held(bound) if bound.slots else None, Call(host, work)
    arguments = _arguments(host, bound, payload, work, held)
    error, own = run_plainly(host, bound, run.fallback, (arguments, effects, held), work)
    if error is not None:
        failed(host.tracing, run, work, error, own)
        return
    host.tracing.note(work, run.name, *times, over=True)
    host.measure(run, work, *own)


def _arguments(host: Host, bound: Bound, payload: Any, work: Work, held: Held | None) -> list[Any]:
    event = work.as_event(host.node) if bound.event_at >= 0 else None
    arguments = fill(bound, payload, event, held)
    if bound.device_at >= 0:
        sender = work.sender
        arguments[bound.device_at] = Device(sender.id, sender.user, sender.protocol, host.commands)
    return arguments
