"""The slot around calls that the longer way makes, and what becomes of those that were stopped."""

from typing import Any, Protocol

from rimward.app.device import Device
from rimward.app.effects import current
from rimward.edge.dispatch.call import Call, Ground
from rimward.edge.dispatch.commands import Commands
from rimward.edge.dispatch.failures import failed
from rimward.edge.dispatch.functions import Bound, FunctionRun, Held, fill
from rimward.edge.dispatch.ports import Clocks, Conduct
from rimward.edge.dispatch.tracing import Tracing
from rimward.edge.dispatch.work import Desk, Work
from rimward.edge.slot import EVENT, FUNCTION, START, digest
from rimward.edge.stopping import Stopped


class Host(Ground, Desk, Protocol):
    """What a call asks of the dispatcher."""

    node: str
    clocks: Clocks
    tracing: Tracing
    conduct: Conduct
    commands: Commands
    words: memoryview

    def succeeded(self, bound: Bound, call: Call, held: Held | None, work: Work, result: Any) -> None:
        """Release a call's effects; it raises, and releases nothing, where its reply can't be written."""
        ...

    def measure(self, run: FunctionRun, work: Work, begun: int, ended: int) -> None:
        """Record a call's times, monotonic ns."""
        ...


class Mark:
    """What the slot says while one call runs."""

    __slots__ = ("event", "number", "words")

    def __init__(self, words: memoryview, run: FunctionRun, work: Work) -> None:
        self.words = words
        self.number: int = run.number
        self.event: int = event_of(work)

    def begin(self, start: int) -> None:
        """User code runs from now on, since `start` as far as its own time goes; monotonic ns."""
        words = self.words
        words[EVENT] = self.event
        words[FUNCTION] = self.number
        words[START] = start

    def end(self) -> None:
        """User code does not run any more."""
        self.words[START] = 0


def event_of(work: Work) -> int:
    """Return the digest of a work's event."""
    return digest(work.source, work.payload)


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


def failing(
    host: Host, bound: Bound, work: Work, error: BaseException, times: tuple[int, int], given: Any = None
) -> None:
    """Do with an event what is to be done when its call raised, or was stopped.

    `times` are when it began and ended, monotonic ns; `given` is the value of the stream that it had.
    """
    run = bound.run
    if isinstance(error, Stopped):
        run.figures.stopped += 1
        host.conduct.stopped(run.name, error.place, times[1] - times[0])
        if run.fallback is not None:
            fall_back(host, bound, work, times, given)
            return
    failed(host.tracing, run, work, error, times)


def fall_back(host: Host, bound: Bound, work: Work, times: tuple[int, int], given: Any) -> None:
    """Have a function's fallback answer in its place, with the same arguments."""
    run = bound.run
    assert run.fallback is not None
    now, held = host.clocks.monotonic, Held(bound) if bound.slots else None
    payload = given
    if given is None and bound.payload_at >= 0:
        payload = run.decoded(work.data, work.content_type)  # anew: the function may have changed the first
    arguments = fill(bound, payload, work.as_event(host.node) if bound.event_at >= 0 else None, held)
    if bound.device_at >= 0:
        sender = work.sender
        arguments[bound.device_at] = Device(sender.id, sender.user, sender.protocol, host.commands)
    call, mark, begun = Call(host, work), Mark(host.words, run, work), now()
    token = current.set(call)
    try:
        mark.begin(begun)
        try:
            result = run.fallback(*arguments)
        finally:
            mark.end()
            current.reset(token)
        host.succeeded(bound, call, held, work, result)
    except (Exception, Stopped) as raised:  # noqa: BLE001 (as for the function)
        if isinstance(raised, Stopped):
            raised.settle()
        failed(host.tracing, run, work, raised, (begun, now()))
        return
    host.tracing.note(work, run.name, *times, over=True)
    host.measure(run, work, begun, now())
