"""When a call is asked to stop and when its process is killed, on clocks that the test moves."""

from rimward_supervisor.overruns import ASK, KILL, MARGIN, NOTHING, STUCK, Seen, Stretch

MS = 1_000_000
SOFT, HARD = 20 * MS, 1000 * MS


class Thread:
    """A thread in a call, as the supervisor sees it."""

    def __init__(self) -> None:
        self.stretch = Stretch()
        self.now = self.cpu = 10**12
        self.start = 0
        self.look()

    def call(self) -> None:
        self.start = self.now

    def look(self, wall: int = 0, cpu: int | None = None, *, sleeps: bool = False) -> int:
        """Let so many ns pass, of which it runs as many, or `cpu`; return what is to be done then."""
        self.now += wall
        self.cpu += wall if cpu is None else cpu
        return self.stretch.judge(Seen(self.now, self.start, SOFT, HARD, self.cpu, sleeps))


def test_a_call_that_burns_its_time_is_asked_to_stop_and_not_before() -> None:
    thread = Thread()
    thread.call()
    assert thread.look(19 * MS) == NOTHING
    assert thread.look(1 * MS) == ASK
    assert thread.look(5 * MS) == ASK, "it is asked until it has ended"


def test_the_time_before_the_first_look_counts_as_far_as_the_thread_ran() -> None:
    thread = Thread()
    thread.call()
    assert thread.look(SOFT) == ASK
    idle = Thread()
    idle.call()
    assert idle.look(SOFT, cpu=5 * MS) == NOTHING, "the machine stood still"


def test_a_machine_that_stands_still_stops_nothing() -> None:
    thread = Thread()
    thread.call()
    for _ in range(90):
        assert thread.look(10 * MS, cpu=0) == NOTHING


def test_a_call_that_sleeps_is_asked_by_the_clock() -> None:
    thread = Thread()
    thread.call()
    assert thread.look(10 * MS, cpu=0, sleeps=True) == NOTHING
    assert thread.look(10 * MS, cpu=0, sleeps=True) == ASK


def test_it_is_killed_only_past_its_limit_with_the_processor_burnt() -> None:
    thread = Thread()
    thread.call()
    assert thread.look(HARD + MARGIN - 1 * MS) == ASK
    assert thread.look(100 * MS, cpu=0) == ASK, "time alone kills nothing"
    assert thread.look(1 * MS) == KILL


def test_one_that_sleeps_on_is_killed_when_it_is_stuck_beyond_its_limit() -> None:
    thread = Thread()
    thread.call()
    thread.look(10 * MS, cpu=0, sleeps=True)
    assert thread.look(HARD, cpu=0, sleeps=True) == ASK
    assert thread.look(STUCK - 20 * MS, cpu=0, sleeps=True) == ASK
    assert thread.look(20 * MS, cpu=0, sleeps=True) == KILL


def test_the_next_call_begins_at_nothing() -> None:
    thread = Thread()
    thread.call()
    assert thread.look(SOFT) == ASK
    thread.call()
    assert thread.look(10 * MS) == NOTHING
    assert not thread.stretch.asked
    thread.start = 0
    assert thread.look(HARD) == NOTHING
