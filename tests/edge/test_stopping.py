"""User code that is asked to stop: whatever it catches, the call ends; platform code is left alone."""

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from rimward.edge.dispatch.types import Ticket
from rimward.edge.slot import ASKED, FUNCTION, HANDS, OFF, START, Slot
from rimward.edge.stopping import Stopped, Stopper

SOON = 0.01  # seconds of its own time until a call is asked to stop


class Place:
    """A call site under a stopper."""

    def __init__(self) -> None:
        self.slot = Slot()
        self.stopper = Stopper(self.slot, [Place.call.__code__])
        self.stopper.install()

    def call(self, function: Callable[[], object]) -> Stopped | None:
        """Run a function that is asked to stop soon; return how it was stopped."""
        words, error = self.slot.words, None
        words[FUNCTION] = 1
        words[START] = words[ASKED] = time.monotonic_ns()
        signal.setitimer(signal.ITIMER_REAL, SOON, SOON)  # the supervisor asks again too
        try:
            function()
        except Stopped as stopped:
            error = stopped.settle()
        finally:
            words[START] = 0
            signal.setitimer(signal.ITIMER_REAL, 0)
        return error


@pytest.fixture
def place() -> Iterator[Place]:
    before, trace = signal.getsignal(signal.SIGALRM), sys.gettrace()
    sys.settrace(None)
    yield Place()
    signal.signal(signal.SIGALRM, before)
    sys.settrace(trace)


def endless() -> None:
    while True:
        pass


def swallows() -> None:
    while True:
        try:
            str(1)
            list(range(3))
        except:  # noqa: E722 (what is to be stopped)
            pass


def swallows_all_and_goes_on() -> None:
    while True:
        try:
            str(1)
            list(range(3))
        except BaseException:  # noqa: BLE001 (what is to be stopped)
            continue


def swallows_two_deep() -> None:
    while True:
        try:
            while True:
                try:
                    str(1)
                    list(range(3))
                except BaseException:  # noqa: BLE001 (what is to be stopped)
                    continue
        except BaseException:  # noqa: BLE001 (what is to be stopped)
            continue


def leaves_finally_by_going_on() -> None:
    while True:
        try:
            str(1)
            list(range(3))
        finally:
            continue  # noqa: B012 (what is to be stopped)


def swallows_in_another_function() -> None:
    while True:
        try:
            swallows()
        except BaseException:  # noqa: BLE001 (what is to be stopped)
            continue


def sleeps() -> None:
    time.sleep(30)


def backtracks() -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")


def computes_in_c() -> None:
    pow(7, 30_000_000)


SHAPES = (
    endless,
    swallows,
    swallows_all_and_goes_on,
    swallows_two_deep,
    leaves_finally_by_going_on,
    swallows_in_another_function,
    sleeps,
    backtracks,
    computes_in_c,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_ends_whatever_it_catches(place: Place, shape: Callable[[], None]) -> None:
    stopped = place.call(shape)
    assert stopped is not None
    assert stopped.place.startswith("test_stopping.py:")
    assert sys.gettrace() is None, "what comes next runs at full speed"


def test_a_call_that_has_ended_by_itself_is_left_alone(place: Place) -> None:
    words = place.slot.words
    assert place.call(lambda: None) is None
    signal.raise_signal(signal.SIGALRM)  # too late: no call runs
    words[ASKED], words[START] = 1, 2  # and then another one
    signal.raise_signal(signal.SIGALRM)
    words[START] = 0


def test_nothing_is_raised_in_platform_code_but_at_the_users_next_line(place: Place) -> None:
    passed: list[str] = []

    def answered(_: Ticket) -> None:
        ended = time.process_time() + 3 * SOON
        while time.process_time() < ended:
            pass
        passed.append("platform")

    def function() -> None:
        ticket = Ticket()
        ticket.on_done = answered
        ticket.finish()
        passed.append("user")

    stopped = place.call(function)
    assert stopped is not None
    assert passed == ["platform"]
    assert stopped.place.endswith("in function")


def looks_on(_frame: FrameType, _event: str, _argument: object) -> None:
    """Stand for a debugger."""


def test_nothing_is_stopped_while_a_debugger_looks_on(place: Place) -> None:
    def function() -> None:
        ended = time.process_time() + 3 * SOON
        while time.process_time() < ended:
            pass

    sys.settrace(looks_on)
    try:
        assert place.call(function) is None
    finally:
        sys.settrace(None)
    assert place.slot.words[HANDS] == OFF


def test_a_breakpoint_hook_keeps_everything_from_being_stopped(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "ipdb.set_trace")
    assert place.call(lambda: time.sleep(3 * SOON)) is None
    assert place.slot.words[HANDS] == OFF
