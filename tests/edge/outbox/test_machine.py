"""The outbox as a whole, whatever happens in whatever order: identities, lanes and tallies stay true."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rimward.edge.config import OutboxConfig
from rimward.edge.deep.reader import OutboxReader
from rimward.edge.outbox import OutboxCore
from rimward.edge.outbox.notes import Damage
from rimward.edge.outbox.rekeying import Rekey
from rimward.wire import Epoch, Mark, Marks, Row, table_of

from .outbox_support import SECOND, Wall, commit, row, tallies

FACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "alarm": ("critical", {}),
    "warm": ("normal", {"live_first": True}),
    "beat": ("bulk", {"max_age": 100.0}),
    "own": ("normal", {"when_full": "shed-oldest", "max_bytes": 2_000}),
}
_decoder = msgspec.msgpack.Decoder(list[Row])
MEMORY = Path("/dev/shm")
Place = tuple[int, int, str, int]  # counter, nonce, lane, seq


class Whole(RuleBasedStateMachine):
    """A node's outbox, and a lake that takes what its reader offers."""

    @initialize()
    def begin(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.folder = Path(self.scratch.name)
        self.wall = Wall()
        self.count = 0
        self.forwarded: dict[str, int] = {}  # by table
        self.named: dict[Place, int] = {}  # every identity that was ever offered, and its row
        self.reached: dict[str, Mark] = {}
        self.version = 0
        self.open()

    def open(self) -> None:
        self.core = OutboxCore(self.folder / "outbox.db", self.wall, OutboxConfig(max_bytes=5_000, reserve=0))
        marks = self.folder / "marks"
        if marks.exists():
            self.core.forget(Marks.decode(marks.read_bytes()))

    @rule(names=st.lists(st.sampled_from(sorted(FACTS)), min_size=1, max_size=5), size=st.integers(1, 900))
    def commit_some(self, names: list[str], size: int) -> None:
        found: list[Any] = []
        for name in names:
            priority, keeping = FACTS[name]
            found.append(row(f"{self.count} ".ljust(size), name, priority=priority, **keeping))
            found[-1].event = str(self.count)
            self.count += 1
            self.forwarded[name] = self.forwarded.get(name, 0) + 1
        commit(self.core, *found)

    @rule()
    def crash(self) -> None:
        self.core.close()
        self.open()

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.wall.now += seconds * SECOND
        self.core.expire()

    @rule()
    def link_comes_back(self) -> None:
        self.core.link_up()

    @rule(jump=st.integers(0, 3))
    def the_hub_knows_a_higher_counter(self, jump: int) -> None:
        above = self.core.epoch.counter + jump
        self.core.rekey(Rekey(above, {self.core.epoch.counter: self.core.epoch.nonce ^ 1}))

    @rule(lanes=st.data(), old=st.booleans())
    def the_lake_takes_some(self, lanes: st.DataObject, *, old: bool) -> None:
        """Let the lake take a part of what one lane offers."""
        with closing(OutboxReader(self.folder / "outbox.db", "n")) as reader:
            supplies = reader.supplies()
            if not supplies:
                return
            supply = lanes.draw(st.sampled_from(supplies))
            known = self.reached.get(supply.fact)
            segment = reader.segment(supply, known.reached if known else (0, 0))
            if segment is None:
                return
            epoch, last = segment.lane.epoch, lanes.draw(st.integers(segment.first, segment.last))
            self.version += 1
            self.reached[supply.fact] = Mark(
                supply.fact, "t", 0, self.version, epoch.counter, epoch.nonce, last
            )
        marks = Marks("n", tuple(self.reached.values()))
        (self.folder / "marks").write_bytes(marks.encode())
        if old:
            self.wall.now += 90_000 * SECOND
        self.core.forget(marks)

    @rule(which=st.integers(0, 1 << 20))
    def a_bit_turns(self, which: int) -> None:
        with closing(sqlite3.connect(self.folder / "outbox.db", isolation_level=None)) as db:
            rows = db.execute("select counter, fact, first, body from chunk order by counter, fact, first")
            chunks = rows.fetchall()
            if not chunks:
                return
            *place, body = chunks[which % len(chunks)]
            ruined = body[:-1] + bytes([body[-1] ^ 1])
            db.execute(
                "update chunk set body = ? where counter = ? and fact = ? and first = ?", (ruined, *place)
            )
        self.read()
        told = self.folder / "damaged"
        if told.exists():
            self.core.damaged(Damage.decode(told.read_bytes()).ranges)

    def read(self) -> dict[str, tuple[int, int]]:
        """Read every lane from its mark to its end; return its rows and its losses."""
        found: dict[str, tuple[int, int]] = {}
        with closing(OutboxReader(self.folder / "outbox.db", "n")) as reader:
            for supply in reader.supplies():
                known = self.reached.get(supply.fact)
                after = known.reached if known else (0, 0)
                rows = lost = 0
                while (segment := reader.segment(supply, after)) is not None:
                    start = after[1] + 1 if after[0] == segment.lane.epoch.counter else 1
                    assert segment.first <= start <= segment.last, "a lane has no gap and goes on"
                    assert segment.lost != "forgotten"
                    if segment.lost:
                        lost += segment.last - start + 1
                    else:
                        self.remember(
                            supply.fact, segment.lane.epoch, segment.rows, segment.first, segment.last
                        )
                        rows += segment.last - start + 1
                    after = segment.end
                assert after in {supply.last, known.reached if known else (0, 0)}
                found[supply.fact] = rows, lost
        return found

    def remember(self, lane: str, epoch: Epoch, rows: bytes, first: int, last: int) -> None:
        count = last - first + 1
        found = _decoder.decode(b"\xdd" + count.to_bytes(4, "big") + rows)
        assert [one.seq for one in found] == list(range(first, last + 1))
        for one in found:
            place = epoch.counter, epoch.nonce, lane, one.seq
            assert self.named.setdefault(place, int(one.event)) == int(one.event), "an identity names one row"

    @invariant()
    def every_lane_goes_on_and_every_row_is_accounted_for(self) -> None:
        found, counted = self.read(), tallies(self.folder)
        forwarded: dict[str, int] = {}
        for lane, causes in counted.items():
            forwarded[table_of(lane)] = forwarded.get(table_of(lane), 0) + causes.get("forwarded", 0)
        assert forwarded == self.forwarded
        with closing(OutboxReader(self.folder / "outbox.db", "n")) as reader:
            told = {one.lane: one for one in reader.tallies()}
        assert {lane: one.waiting for lane, one in told.items()} == {
            lane: rows for lane, (rows, _) in found.items()
        }
        assert "shed" not in counted.get("alarm", {})

    @invariant()
    def numbers_in_memory_are_those_of_the_file(self) -> None:
        stock = self.core.stock
        with closing(sqlite3.connect(self.folder / "outbox.db")) as db:
            lanes = db.execute("select counter, fact, last_seq, bytes from lane").fetchall()
            held = db.execute(
                "select counter, fact, sum(length(body)) from chunk group by counter, fact"
            ).fetchall()
        assert {(counter, lane): (one.last, one.bytes) for (counter, lane), one in stock.lanes.items()} == {
            (counter, lane): (last, size) for counter, lane, last, size in lanes
        }
        sizes = {(counter, lane): size for counter, lane, size in held}
        assert {key: one.bytes for key, one in stock.lanes.items() if one.bytes} == sizes
        assert stock.bytes == sum(sizes.values())
        assert stock.kept == sum(one.kept for one in stock.lanes.values())
        assert sum(stock.classes.values()) == sum(stock.tables.values()) == stock.bytes - stock.kept
        assert min([0, *stock.classes.values(), *stock.tables.values()]) == 0

    def teardown(self) -> None:
        if hasattr(self, "core"):
            self.core.close()
            self.scratch.cleanup()


Whole.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
test_the_outbox_as_a_whole = Whole.TestCase
