# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""The real parts without their processes: outbox file, uplink, ingest on Delta tables; the bus is a list."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from deltalake import DeltaTable
from msgspec import Struct

from rimward import App
from rimward.cloud.config import HubConfig
from rimward.cloud.ingest.taking import Taking
from rimward.edge.config import NodeConfig, OutboxConfig
from rimward.edge.deep.greeting import rekey_text
from rimward.edge.deep.reader import OutboxReader
from rimward.edge.outbox import Forward, OutboxCore
from rimward.edge.outbox.rekeying import Rekey
from rimward.testing.clock import Clock
from rimward.testing.hub import SiteHub
from rimward.testing.link import Sender, Uplink
from rimward.wire import Hello, Marks, Row

from .dying import Died, dying_at

app = App("model", compat="2026-11-01")
Upload = tuple[str, bytes]


@app.fact(priority="critical")
class Seen(Struct):
    """The first fact of a message."""

    n: int


@app.fact(priority="bulk")
class Copy(Struct):
    """The second."""

    n: int


FACTS = app.manifest().facts
TABLES = tuple(spec.table for spec in FACTS)
NODE = "n1"
_rows = msgspec.msgpack.Decoder(list[Row])


class Cores:
    """One node and its hub, as they are between two steps."""

    def __init__(self, folder: Path, lake: Path, *, keeps: bool) -> None:
        """`lake` is a folder with empty tables; `keeps`: whether committed rows stay in the outbox."""
        self._folder = folder
        self._clock = Clock(1_700_000_000_000_000_000)
        self.app = app  # as the hub has it
        self.keeps = keeps
        self._config = OutboxConfig(keep_after_commit=86_400.0 if keeps else 0.0)
        self._node = folder / "node"
        (self._node / "node").mkdir(parents=True)
        shutil.copytree(lake, folder / "hub")
        self._boots = 0
        self._forgot = False  # whether the disk ever went back
        self._jumped = 0  # ns that the node's wall clock is off
        self.copy: Path | None = None
        self.taken = 0  # messages
        self.pending: list[int] = []
        self.acknowledged: set[int] = set()
        self.excused: set[int] = set()  # were on a disk alone that is no more
        self.bus: list[Upload] = []
        self.past: list[Upload] = []
        self.marks: list[bytes] = []  # that the hub has told, oldest first
        self.core: OutboxCore = self._opened()
        self.sender: Sender = self._started()
        self._asked = self._clock.wall()
        self.hub: SiteHub = self._hub()

    def _opened(self) -> OutboxCore:
        return OutboxCore(self._file, self._wall, self._config)

    @property
    def _file(self) -> Path:
        return self._node / "node" / "outbox.db"

    def _wall(self) -> int:
        return self._clock.wall() + self._jumped

    def _started(self) -> Sender:
        self._boots += 1
        config = NodeConfig(app="", data=str(self._node), node=NODE)
        return Sender(config, self._clock, Uplink(random.Random(0)), f"b{self._boots}")

    def _hub(self) -> SiteHub:
        hub = SiteHub(self.app, self._folder / "hub", None, self._clock.wall, _raise)
        config = HubConfig(str(self._folder / "hub"), manifest="", app="", bus_url="", user="", password="")
        self._taking = Taking(config, hub._ingest, hub._records, None, lambda: self._asked)
        asyncio.run(self._taking.look(afresh=True))
        return hub

    # -- the node

    def take(self, messages: int) -> None:
        """Call the functions on messages: two facts each."""
        for _ in range(messages):
            self.taken += 1
            self.pending.append(self.taken)

    def commit(self, dies_at: str | None) -> None:
        """Commit what is pending and acknowledge it, or die on the way."""
        group, self.pending = self.pending, []
        forwards = [
            Forward(spec.table, spec.fingerprint, spec.priority, self._wall(), f"e-{n}", None, None,
                    replayed=False, values=(n,))
            for n in group
            for spec in FACTS
        ]  # fmt: skip
        try:
            with dying_at(dies_at):
                self.core.commit(forwards, {}, [])
        except Died:
            self.node_dies()
        else:
            self.acknowledged |= set(group)

    def node_dies(self) -> None:
        """Kill the I/O process and start it again: an epoch begins."""
        self.pending.clear()
        self.core.close()
        self.core = self._opened()

    def sender_dies(self) -> None:
        """Kill the deep process and start it again."""
        self.sender.close()
        self.sender = self._started()

    def send(self) -> None:
        """Give the bus all that waits to be sent."""
        self.sender.drain(self._give)

    def _give(self, uploads: list[Upload]) -> list[bytes]:
        self.bus += uploads
        self.past += uploads
        return []

    def hear(self, which: int) -> None:
        """Let the node hear marks, the newest or older ones, and free rows by what it believes."""
        marks = Marks.decode(self.marks[which])
        self.sender.book.hear(marks.marks, self._clock.monotonic() * 1e-9)
        self.core.forget(Marks(NODE, tuple(self.sender.book.marks.values())))

    def copy_disk(self) -> None:
        """Put a copy of the node's folder aside."""
        self.copy = self._folder / f"copy{self._boots}-{self.taken}"
        shutil.copytree(self._node, self.copy, dirs_exist_ok=True)

    def roll_back(self) -> None:
        """Put the copy in the disk's place; what came since and is in no table was on that disk alone."""
        assert self.copy is not None
        before = set(self.rows(TABLES[0]))
        self.core.close()
        self.sender.close()
        shutil.rmtree(self._node)
        self.copy.rename(self._node)
        self.copy = None
        self.pending.clear()
        self.core, self.sender = self._opened(), self._started()
        self.excused |= self.acknowledged - before
        self._forgot = True

    @contextmanager
    def on_the_copy(self) -> Generator[None]:
        """Work on the copy while the first disk's processes stand still, but live."""
        assert self.copy is not None
        first = self._node, self.core, self.sender
        self._node = self.copy
        self.core, self.sender = self._opened(), self._started()
        try:
            yield
        finally:
            self.core.close()
            self.sender.close()
            self._node, self.core, self.sender = first

    def cut_wal(self, share: float) -> None:
        """Kill the node, and cut its write-ahead log at a share of its length: a disk that forgot."""
        self.copy_disk()
        assert self.copy is not None
        wal = Path(f"{self.copy / 'node' / 'outbox.db'}-wal")
        with wal.open("r+b") as file:
            file.truncate(round(wal.stat().st_size * share))
        self.roll_back()
        self.excused -= self.on_disk()

    def tear_page(self) -> None:
        """Kill the node, and overwrite a page in the middle of its file."""
        self.core.close()
        self.sender.close()
        page, size = 4096, self._file.stat().st_size
        with self._file.open("r+b") as file:
            file.seek(size // 2 // page * page)
            file.write(random.Random(0).randbytes(page))
        self.core, self.sender = self._opened(), self._started()

    def jump(self, by: int) -> None:
        """Move the node's wall clock, ns."""
        self._jumped += by

    def on_disk(self) -> set[int]:
        """Return the messages whose first fact can be read from the outbox."""
        found: set[int] = set()
        with closing(OutboxReader(self._file, NODE)) as reader:
            supply = next((one for one in reader.supplies() if one.fact == TABLES[0]), None)
            after = (0, 0)
            while supply is not None and (segment := reader.segment(supply, after)) is not None:
                if segment.lost is None:
                    count = segment.last - segment.first + 1
                    rows = _rows.decode(b"\xdd" + count.to_bytes(4, "big") + segment.rows)
                    found |= {row.values[0] for row in rows}
                after = segment.end
        return found

    def lost(self) -> dict[str, int]:
        """Return how many rows of each table are recorded as lost."""
        gaps: Any = DeltaTable(str(self._folder / "hub" / "lake" / "_gap")).to_pyarrow_table()
        found = dict.fromkeys(TABLES, 0)
        for row in gaps.to_pylist():
            found[row["fact"]] += row["rows"]
        return found

    def hello(self) -> None:
        """Ask the hub whether the identity is one's own, a minute after the last time, and do as it says."""
        self._asked += 60 * 10**9
        with closing(OutboxReader(self._file, NODE)) as reader:
            epochs = {counter: epoch.nonce for counter, epoch in reader.epochs().items()}
            hello = Hello(
                NODE, "local", f"b{self._boots}", reader.id(), tuple(sorted(epochs.items())),
                tuple(self.sender.book.marks.values()),
            )  # fmt: skip
        welcome = asyncio.run(self._taking.welcome(hello))
        self.marks.append(Marks(NODE, welcome.marks).encode())
        self.hear(-1)
        if welcome.verdict == "rekey":
            self.core.rekey(Rekey.decode(rekey_text(welcome, epochs)))
            self.sender_dies()

    # -- bus and hub

    def hub_takes(self, uploads: list[Upload], dies_at: str | None) -> None:
        """Let the hub commit uploads in this order, acknowledge and announce them, or die on the way."""
        try:
            with dying_at(dies_at):
                told = self.hub.take(uploads)
        except Died:
            self.hub_dies()
            return
        self.marks += told
        for node, epoch in self.hub.foreign:
            self._taking.welcoming.refuse(node, epoch)
        self.hub.foreign.clear()
        for upload in uploads:
            if upload in self.bus:
                self.bus.remove(upload)

    def hub_dies(self) -> None:
        """Kill the hub and start it again."""
        self.hub.close()
        self.hub = self._hub()

    def put_lake_aside(self) -> Path:
        """Copy the hub's folder, as a backup does; return where it lies."""
        self.hub.close()
        aside = self._folder / f"backup-{len(self.marks)}"
        shutil.copytree(self._folder / "hub", aside)
        self.hub = self._hub()
        return aside

    def restore_hub(self, aside: Path) -> None:
        """Put a backup in the place of all that the hub has."""
        self.hub.close()
        shutil.rmtree(self._folder / "hub")
        shutil.copytree(aside, self._folder / "hub")
        self.hub = self._hub()

    def delta(self, table: str) -> DeltaTable:
        """Return a table, as somebody beside the hub opens it."""
        return DeltaTable(str(self._folder / "hub" / "lake" / table))

    # -- the account

    def rows(self, table: str) -> list[int]:
        """Return a table's messages."""
        found: Any = DeltaTable(str(self._folder / "hub" / "lake" / table)).to_pyarrow_table(columns=["n"])
        return found.column("n").to_pylist()

    def settle(self) -> None:
        """Let everything have its time, without any fault."""
        self.commit(None)
        for _ in range(8):
            self.hello()
            self.sender_dies()  # it starts again from the marks that are told next
            self.send()
            before = len(self.marks)
            self.hub_takes(list(self.bus), None)
            for which in range(before, len(self.marks)):
                self.hear(which)
            self.bus.clear()

    def check(self) -> None:
        """Assert that what was acknowledged is there once, and nothing else but what was taken."""
        rows = {table: self.rows(table) for table in TABLES}
        for table, found in rows.items():
            doubles = [n for n, times in Counter(found).items() if times > 1]
            assert not doubles, f"twice in {table}: {doubles}"
            missing = self.acknowledged - set(found) - self.excused
            assert not missing, f"acknowledged and not in {table}: {missing}"
            assert set(found) <= set(range(1, self.taken + 1))
        if not self._forgot:  # else one fact of a message may have got away before its disk went back
            assert set(rows[TABLES[0]]) == set(rows[TABLES[1]]), "facts come together or not at all"
        for table in TABLES:
            self._check_gapless(table)

    def _check_gapless(self, table: str) -> None:
        found: Any = DeltaTable(str(self._folder / "hub" / "lake" / table)).to_pyarrow_table(
            columns=["_epoch", "_seq"]
        )
        epochs: dict[int, list[int]] = {}
        for row in found.to_pylist():
            epochs.setdefault(row["_epoch"], []).append(row["_seq"])
        for epoch, seqs in epochs.items():
            assert sorted(seqs) == list(range(1, len(seqs) + 1)), f"{table}, epoch {epoch}: {sorted(seqs)}"

    def close(self) -> None:
        """Close every file."""
        self.sender.close()
        self.core.close()
        self.hub.close()


def _raise(error: Exception) -> None:
    raise error


def empty_lake(folder: Path) -> Path:
    """Make a hub's folder with empty tables, to be copied: making them takes longer than a test's steps."""
    SiteHub(app, folder, None, Clock(1_700_000_000_000_000_000).wall, _raise).close()
    return folder
