"""Whose turn it is between bus and lake: nothing new waits for a whole backlog, and no backlog for ever."""

from collections import Counter

from nats.aio.client import Client
from nats.aio.msg import Msg

from rimward.cloud.ingest.envelopes import Envelope
from rimward.cloud.ingest.pacing import FULL, LEAST, Pacing
from rimward.cloud.ingest.queueing import MOST, MOST_BYTES, Batch, Queue
from rimward.cloud.ingest.reading import Arrival
from rimward.wire import Epoch, Header, Lane

GATHER = 0.2
FIXED, ROW = 0.02, 5e-6  # seconds of a commit, and of a row


def arrivals(node: str, lane: str, envelopes: int, rows: int = 500, size: int = 100) -> list[Arrival]:
    """Return envelopes of one lane that follow each other."""
    return [
        Arrival(
            Msg(Client(), "up"),
            Envelope(Lane(node, Epoch(1, 1), lane), Header("s", "", first, first + rows - 1, 0), b"x" * size),
        )
        for first in range(1, envelopes * rows + 1, rows)
    ]


def queue() -> Queue:
    return Queue(GATHER, Pacing())


class Lake:
    """Commits what is due, one after the other, in made-up time."""

    def __init__(self, waiting: Queue, fixed: float = FIXED) -> None:
        self.waiting = waiting
        self.now = 0.0
        self._fixed = fixed

    def commit(self) -> Batch | None:
        """Commit what is due now, or let the time pass until something may be."""
        batch = self.waiting.next(self.now)
        if batch is None:
            self.now += min(self.waiting.wait, 1.0)
            return None
        took = self._fixed + ROW * sum(one.rows for one in batch[1])
        self.now += took
        self.waiting.done(batch, took, self.now)
        return batch

    def commits(self, seconds: float) -> list[tuple[float, Batch]]:
        """Commit for a time; return what ended when."""
        found, end = list[tuple[float, Batch]](), self.now + seconds
        while self.now < end:
            if batch := self.commit():
                found.append((self.now, batch))
        return found


def test_each_lane_keeps_its_order_and_nothing_is_forgotten() -> None:
    waiting = queue()
    sent = [arrivals(f"n{node}", "warm", 90) for node in range(4)]
    for one in sent:
        waiting.offer("warm", "normal", one)
    came = [arrival for _, batch in Lake(waiting).commits(20) for arrival in batch[1]]
    for one in sent:
        assert [id(arrival) for arrival in came if arrival in one] == [id(arrival) for arrival in one]
    assert len(came) == sum(map(len, sent))


def test_a_new_lane_of_a_table_is_in_the_next_commit_beside_backlogs() -> None:
    waiting = queue()
    for node in range(8):
        waiting.offer("warm", "normal", arrivals(f"n{node}", "warm", 60))
    lake = Lake(waiting)
    lake.commit()
    (calm,) = arrivals("calm", "warm", 1, rows=10)
    waiting.offer("warm", "normal", [calm])
    batch = lake.commit()
    assert batch is not None
    assert calm in batch[1]


def test_lanes_with_backlogs_have_equal_parts_of_a_table() -> None:
    waiting = queue()
    for node, envelopes in (("many", 400), ("some", 100)):
        waiting.offer("warm", "normal", arrivals(node, "warm", envelopes))
    lake, went = Lake(waiting), Counter[str]()
    for _ in range(5):
        batch = lake.commit()
        assert batch is not None
        went.update(arrival.envelope.lane.node for arrival in batch[1])
    assert abs(went["many"] - went["some"]) <= 5


def test_another_table_waits_for_one_commit_and_none_takes_long() -> None:
    waiting = queue()
    lake = Lake(waiting)
    waits: list[float] = []
    for _ in range(40):
        waiting.offer("warm", "normal", arrivals("n", "warm", waiting.room("normal") - 1))
        began = lake.now
        lake.commit()
        (new,) = arrivals("n", "live", 1, rows=250)
        waiting.offer("live", "normal", [new])
        while (batch := lake.commit()) is None or new not in batch[1]:
            pass
        waits.append(lake.now - began)
        lake.commits(GATHER)
    assert max(waits[5:]) < 0.25


def test_while_a_table_is_full_its_commits_wait_for_no_more() -> None:
    waiting = queue()
    lake = Lake(waiting)
    waiting.offer("warm", "normal", arrivals("n", "warm", MOST))
    begin = lake.now
    rows = 0
    while rows < MOST * 500 - FULL:
        batch = lake.commit()
        assert batch is not None, "it waits while there is enough"
        rows += sum(one.rows for one in batch[1])
    assert rows / (lake.now - begin) > 0.5 / ROW


def test_few_rows_wait_for_others_and_urgent_ones_less() -> None:
    waiting = queue()
    lake = Lake(waiting)
    times: dict[str, list[float]] = {"warm": [], "alarm": []}
    while lake.now < 4:
        for fact, priority in (("warm", "normal"), ("alarm", "critical")):
            waiting.offer(fact, priority, arrivals("n", fact, 1, rows=1))
        if batch := lake.commit():
            times[batch[0]].append(lake.now)
    assert 4 / (GATHER + 3 * FIXED) < len(times["warm"]) <= 4 / GATHER + 1
    assert len(times["alarm"]) > 3 * len(times["warm"])


def test_critical_goes_first_and_bulk_has_its_share() -> None:
    waiting = queue()
    lake, rows, first = Lake(waiting), Counter[str](), ""
    while lake.now < 6:
        for fact, priority in (("video", "bulk"), ("alarm", "critical")):
            waiting.offer(fact, priority, arrivals("n", fact, waiting.room(priority)))
        if batch := lake.commit():
            first = first or batch[0]
            rows[batch[0]] += sum(one.rows for one in batch[1])
    assert first == "alarm"
    assert 0.125 < rows["video"] / rows.total() < 0.3


def test_a_slow_store_gets_more_at_once() -> None:
    waiting = queue()
    lake = Lake(waiting, fixed=0.4)
    sizes: list[int] = []
    while lake.now < 12:
        waiting.offer("warm", "normal", arrivals("n", "warm", waiting.room("normal")))
        if batch := lake.commit():
            sizes.append(sum(one.rows for one in batch[1]))
    assert sizes[0] == LEAST
    assert sizes[-1] > 4 * LEAST


def test_there_is_room_for_so_many_envelopes_and_bytes_of_each_priority() -> None:
    waiting = queue()
    waiting.offer("warm", "normal", arrivals("n", "warm", MOST, rows=100))
    assert (waiting.room("normal"), waiting.room("critical")) == (0, MOST)
    waiting.offer("video", "bulk", arrivals("n", "video", 17, size=MOST_BYTES // 16))
    assert waiting.room("bulk") == 0
    given = waiting.drop_all()
    assert len(given) == MOST + 17
    assert (waiting.room("normal"), waiting.room("bulk")) == (MOST, MOST)
    assert waiting.next(100.0) is None


def test_what_one_table_gives_back_is_all_of_its_own_in_order() -> None:
    waiting = queue()
    mine = arrivals("n", "warm", 40)
    waiting.offer("warm", "normal", mine)
    waiting.offer("cold", "normal", arrivals("n", "cold", 3))
    assert waiting.drop("warm") == mine
    batch = waiting.next(0.0)
    assert batch is not None
    assert batch[0] == "cold"


def test_the_pace_is_what_the_lake_takes_and_is_shared_by_those_with_backlogs() -> None:
    waiting = queue()
    lake = Lake(waiting)
    for _ in range(30):
        waiting.offer("warm", "normal", arrivals("n", "warm", waiting.room("normal")))
        lake.commit()
    alone = waiting.pacing.pace()
    assert 0.4 / ROW < alone.rate < 1 / ROW
    for _ in range(30):
        for node in range(8):
            waiting.offer("warm", "normal", arrivals(f"n{node}", "warm", waiting.room("normal") // 8))
        waiting.offer("live", "normal", arrivals("calm", "live", 1, rows=200))
        lake.commit()
    shared = waiting.pacing.pace()
    backlogs = waiting.pacing.backlogs
    assert 8 <= backlogs <= 10  # the one of before, and live rows that had to wait for each other
    assert 0.3 / ROW < backlogs * shared.rate < 1 / ROW
    waiting.drop_all()
    lake.now += 10
    waiting.offer("live", "normal", arrivals("calm", "live", 1, rows=200))
    lake.commit()
    assert waiting.pacing.pace().rate > 4 * shared.rate


def test_a_slow_lake_takes_no_more_off_the_bus_than_it_commits_soon() -> None:
    waiting = queue()
    waiting.offer("warm", "normal", arrivals("n", "warm", FULL // 500))
    assert waiting.room("normal") == 0, "until it is known how fast it is"
    Lake(waiting).commits(10)
    assert waiting.room("normal") == MOST
    waiting.offer("warm", "normal", arrivals("n", "warm", FULL // 500))
    assert waiting.room("normal") == MOST - FULL // 500
