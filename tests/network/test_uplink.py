"""The uplink's core against a bus and a lake that lose, repeat and restore what they like."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.network.rows import Rows, drain, mark, spans

from rimward.network.config import UplinkConfig
from rimward.network.lanes import DOUBT, RESEND, RESEND_MOST
from rimward.network.pace import BURST, Allowance
from rimward.network.uplink import ROUNDS, STOOD, UplinkCore
from rimward.wire import Place, Segment

WINDOW = UplinkConfig().window
SMALL = UplinkConfig(window=16)


def test_older_epochs_are_sent_first_and_each_row_once() -> None:
    source = Rows(warm=("normal", {2: 5, 1: 12}))
    assert spans(drain(UplinkCore(), source)) == [(1, 1, 10), (1, 11, 12), (2, 1, 5)]


def test_no_more_than_a_window_waits_for_the_bus() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 10_000}))
    flying: list[Segment] = []
    while (segment := core.next(source, 0)) is not None:
        core.sent(segment, 1, 0)
        flying.append(segment)
    assert len(flying) == WINDOW
    core.taken(flying[0], 0)
    assert core.next(source, 0) is not None


def test_a_critical_fact_overtakes_and_the_others_keep_their_share() -> None:
    source = Rows(
        a=("bulk", {1: 100_000}), b=("normal", {1: 100_000}), c=("critical", {1: 100_000}),
        d=("critical", {1: 100_000}),
    )  # fmt: skip
    sent = [one.lane.fact for one in drain(UplinkCore(), source, most=800)]
    assert {fact: sent.count(fact) for fact in "abcd"} == {"a": 100, "b": 100, "c": 300, "d": 300}


def test_alone_a_bulk_fact_has_the_whole_way() -> None:
    source = Rows(a=("bulk", {1: 50}), b=("critical", {}))
    assert len(drain(UplinkCore(), source)) == 5


def test_a_lane_goes_back_to_its_mark_when_the_lake_does_not_follow() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 30}), cold=("normal", {1: 10}))
    drain(core, source, 0)
    core.marked(mark("warm", 1, 10), 0)
    core.marked(mark("cold", 1, 10), 0)
    core.tick(RESEND - 0.1)
    assert drain(core, source, RESEND - 0.1) == []
    core.tick(RESEND + 0.1)
    assert spans(drain(core, source, RESEND + 0.1)) == [(1, 11, 20), (1, 21, 30)]
    assert (core.attempt("warm"), core.attempt("cold")) == (1, 0)


def test_after_an_outage_a_lane_does_not_wait_for_as_long_as_its_rows_stood_there() -> None:
    core, source, hour = UplinkCore(), Rows(warm=("normal", {1: 20})), 3600.0
    drain(core, source, 0)
    core.marked(mark("warm", 1, 20), hour)  # the lake had been away
    source.add("warm", 10)
    assert spans(drain(core, source, hour)) == [(1, 21, 30)]
    core.tick(hour + ROUNDS * STOOD + 0.1)
    assert spans(drain(core, source, hour + ROUNDS * STOOD + 0.1)) == [(1, 21, 30)]


def test_a_lane_that_is_not_believed_sends_little_and_rarely_until_its_mark_moves() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 10_000}))
    now, sent = 0.0, len(drain(core, source))
    assert sent == 1_000
    times: list[float] = []
    while len(times) < 8:
        core.tick(now)
        if again := drain(core, source, now):
            assert len(again) == DOUBT
            times.append(now)
        now += 0.5
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps == sorted(gaps)
    assert RESEND_MOST <= gaps[-1] <= RESEND_MOST + 1
    core.marked(mark("warm", 1, 50), now)
    assert len(drain(core, source, now)) == 1_000 - DOUBT


def test_a_lane_that_the_bus_has_no_room_for_waits_alone() -> None:
    core = UplinkCore()
    source = Rows(full=("critical", {1: 40}), other=("bulk", {1: 20}))
    segment = core.next(source, 0)
    assert segment is not None
    core.sent(segment, 1, 0)
    core.refused(segment, 0)
    assert {one.lane.fact for one in drain(core, source, 0)} == {"other"}
    again = drain(core, source, 1)
    assert (again[0].first, len(again)) == (1, 4)
    assert core.attempt("full") == 1, "the same id would be swallowed if the bus has it after all"


def test_a_refusal_in_the_middle_starts_there_again() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 40}))
    flying: list[Segment] = []
    while (segment := core.next(source, 0)) is not None:
        core.sent(segment, 1, 0)
        flying.append(segment)
    core.refused(flying[1], 0)
    for other in (flying[0], *flying[2:]):
        core.taken(other, 0)
    assert spans(drain(core, source, 1)) == [(1, 11, 20), (1, 21, 30), (1, 31, 40)]


def test_a_stale_hub_does_not_take_a_lane_back_or_keep_it_from_going_back() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 30}))
    drain(core, source, 0)
    core.marked(mark("warm", 1, 20, version=9), 0)
    for tenth in range(1, 30):
        assert not core.marked(mark("warm", 1, 10, version=5), tenth / 10)
        core.marked(mark("warm", 1, 20, version=9), tenth / 10)
        core.tick(tenth / 10)
    assert spans(drain(core, source, 3)) == [(1, 21, 30)]


@pytest.mark.parametrize("restored", [{"table": "another"}, {"generation": 1}])
def test_a_restored_or_new_table_takes_a_lane_back(restored: dict[str, Any]) -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 20, 2: 10}))
    drain(core, source, 0)
    core.marked(mark("warm", 2, 10, version=9), 0)
    assert core.marked(mark("warm", 0, 0, version=0, **restored), 1)
    core.tick(RESEND + 1.1)
    assert spans(drain(core, source, RESEND + 1.1)) == [(1, 1, 10), (1, 11, 20), (2, 1, 10)]


def test_rows_that_the_lake_has_are_not_sent_at_all() -> None:
    core, source = UplinkCore(), Rows(warm=("normal", {1: 20, 2: 10}))
    core.marked(mark("warm", 1, 10), 0)
    assert spans(drain(core, source)) == [(1, 11, 20), (2, 1, 10)]


class Losing(RuleBasedStateMachine):
    """Whatever answers, losses, crashes and marks come, every row is offered again until it is marked.

    Inside a lane rows go by their numbers, no id is used twice, and never more than the rate goes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.source = Rows()
        self.flying: list[Segment] = []
        self.bus: list[Segment] = []
        self.lake: dict[str, Place] = {}
        self.seen_ids: set[tuple[int, str, int, int, int, int]] = set()
        self.sent: dict[str, tuple[int, Place]] = {}  # attempt and last row of each lane
        self.version = self.boot = 0
        self.went: list[tuple[float, int]] = []
        self.rate: float | None = None
        self.core = UplinkCore(SMALL)

    @initialize(
        facts=st.dictionaries(
            st.sampled_from(["a", "a-1", "b", "c"]),
            st.tuples(
                st.sampled_from(["critical", "normal", "bulk"]),
                st.dictionaries(st.integers(1, 4), st.integers(1, 45), max_size=3),
            ),
            min_size=1,
        ),
        rate=st.none() | st.floats(50, 5000),
    )
    def begin(self, facts: dict[str, tuple[str, dict[int, int]]], rate: float | None) -> None:
        self.source = Rows(**facts)
        self.lake = dict.fromkeys(facts, (0, 0))
        self.rate = rate
        self.core.allow(Allowance(rate), self.now)

    @rule(count=st.integers(1, 20), size=st.integers(1, 200))
    def send(self, count: int, size: int) -> None:
        for _ in range(count):
            segment = self.core.next(self.source, self.now)
            if segment is None:
                return
            self.check(segment, self.core.attempt(segment.lane.fact))
            self.core.sent(segment, size, self.now)
            self.went.append((self.now, size))
            self.flying.append(segment)

    def check(self, segment: Segment, attempt: int) -> None:
        """An id is new, and a row follows the one before it unless its lane went back."""
        fact, counter = segment.lane.fact, segment.lane.epoch.counter
        key = self.boot, fact, counter, segment.first, segment.last, attempt
        assert key not in self.seen_ids, "the bus would swallow the repeat"
        self.seen_ids.add(key)
        before = self.sent.get(fact)
        if before is not None and before[0] == attempt:
            after = max(before[1], self.lake[fact])
            assert segment.begin == after or (segment.first == 1 and counter > after[0])
        self.sent[fact] = attempt, segment.end

    @precondition(lambda self: self.flying)
    @rule(kept=st.booleans(), place=st.integers(0, 15))
    def answer(self, kept: bool, place: int) -> None:  # noqa: FBT001 (drawn)
        segment = self.flying.pop(place % len(self.flying))
        self.core.taken(segment, self.now)
        if kept:
            self.bus.insert(place % (len(self.bus) + 1), segment)

    @precondition(lambda self: self.flying)
    @rule(place=st.integers(0, 15))
    def refuse(self, place: int) -> None:
        self.core.refused(self.flying.pop(place % len(self.flying)), self.now)

    @rule()
    def ingest(self) -> None:
        for segment in self.bus:
            fact, mark_ = segment.lane.fact, self.lake[segment.lane.fact]
            if segment.end <= mark_:
                continue
            lanes = self.source.facts[fact][1]
            done = [counter for counter, last in lanes.items() if (counter, last) <= mark_]
            before = [counter for counter in lanes if counter < segment.lane.epoch.counter]
            same = segment.lane.epoch.counter == mark_[0]
            if segment.first <= mark_[1] + 1 if same else segment.first == 1 and set(before) <= set(done):
                self.lake[fact] = segment.end
                self.version += 1
        self.bus.clear()

    @rule()
    def announce(self) -> None:
        for fact, place in self.lake.items():
            self.core.marked(mark(fact, *place, version=self.version), self.now)

    @rule(wiped=st.booleans())
    def connect_again(self, wiped: bool) -> None:  # noqa: FBT001 (drawn)
        if wiped:
            self.bus.clear()
        self.flying.clear()
        self.core.begin(self.now, same_bus=not wiped)

    @rule()
    def crash(self) -> None:
        self.flying.clear()
        self.sent.clear()
        self.core = UplinkCore(SMALL)
        self.core.allow(Allowance(self.rate), self.now)
        self.boot += 1
        self.went.clear()

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.core.tick(self.now)

    @invariant()
    def the_window_is_kept(self) -> None:
        assert 0 <= self.core.flying == len(self.flying) <= SMALL.window

    @invariant()
    def the_rate_is_kept(self) -> None:
        if self.rate is not None and self.went:
            before = sum(size for _, size in self.went[:-1])
            stretch = self.went[-1][0] - self.went[0][0]
            assert before <= self.rate * stretch + max(1.0, BURST * self.rate) + 1e-3

    def teardown(self) -> None:
        """From any state at all, a bus that loses nothing more brings every row to the lake."""
        wanted = {fact: max(lanes.items(), default=(0, 0)) for fact, (_, lanes) in self.source.facts.items()}
        for _ in range(400):
            if self.lake == wanted:
                break
            self.wait(RESEND_MOST + 1)
            for segment in self.flying:
                self.core.taken(segment, self.now)
            self.bus += self.flying
            self.flying.clear()
            self.send(SMALL.window, 1)
            self.ingest()
            self.announce()
        assert self.lake == wanted


Losing.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_every_row_is_offered_until_the_lake_has_it = Losing.TestCase
