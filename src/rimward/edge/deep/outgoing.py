"""What the parts of the deep process share: the outbox that is read, how far it went, and what went wrong."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterable

from rimward.edge.deep.config import DeepConfig
from rimward.edge.deep.files import NodeFiles
from rimward.edge.deep.marking import MarkBook
from rimward.edge.deep.reader import OutboxReader
from rimward.network.pace import Schedule
from rimward.network.path import Path
from rimward.network.uplink import UplinkCore
from rimward.observe import Logger, get_logger
from rimward.observe.failpoints import reach
from rimward.wire import Hello, Mark, Marks, Packer
from rimward.wire.erasing import Erased

log: Logger = get_logger("rimward.deep")

UPLOAD = 6  # tokens of an envelope's subject


class Outgoing:
    """One node's way out; `open` goes on with whatever file lies there now."""

    def __init__(self, config: DeepConfig) -> None:
        self.config = config
        self.boot: str = os.urandom(4).hex()
        self.files: NodeFiles = NodeFiles(config.data)
        self.path: Path = Path("bus")
        self.counts: Counter[str] = Counter()  # of what went wrong, since this process began
        self.packer: Packer = Packer(region=config.region, site=config.site, boot=self.boot)
        self.url: str = ""  # of the bus that was sent to last
        self.hub: str = ""  # id of the hub's store, as far as it was ever said
        self.verdict: str = ""  # of the newest greeting
        self.denied: str = ""  # the subject that the bus refused last
        self.refusal: str = ""  # why it refused an envelope last
        self.reader: OutboxReader | None = None
        self.gate: asyncio.Event = asyncio.Event()  # set while the hub lets this node send
        self._schedule = Schedule(config.uplink)
        self._start()

    def _start(self) -> None:
        self.core: UplinkCore = UplinkCore(self.config.uplink)
        self.book: MarkBook = MarkBook(self.core, lambda: {} if self.reader is None else self.reader.epochs())

    def open(self) -> OutboxReader:
        """Return the outbox's reader, of the file that lies there now."""
        if self.reader is not None and self.reader.replaced():
            self.close()
        if self.reader is None:
            uplink = self.config.uplink
            self.reader = OutboxReader(self.files.outbox, self.config.node, uplink.rows, uplink.bytes)
            self._start()
            with contextlib.suppress(OSError, ValueError):
                kept = Marks.decode(self.files.read("marks"))
                self.hub = kept.hub
                self.book.hear(kept.marks, time.monotonic())
        self.pace()
        return self.reader

    def close(self) -> None:
        """Close the outbox; `open` starts from its marks."""
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    def pace(self) -> None:
        """Look at the schedule; its times are local ones."""
        local = time.localtime()
        self.core.allow(self._schedule.at(60 * local.tm_hour + local.tm_min), time.monotonic())

    def hear(self, marks: Iterable[Mark], hub: str = "") -> None:
        """Take marks over and write them down; `hub` is the store whose lake they tell of, if it is said."""
        if hub and hub != self.hub:
            if self.hub:
                log.warning("another hub answers: it gets all that is still here", hub=hub)
                self.book.forget()
            self.hub = hub
        clashes = len(self.book.clashes)
        changed = self.book.hear(marks, time.monotonic())
        self.counts["clash"] += len(self.book.clashes) - clashes
        if changed:
            reach("deep.marks-heard")
            known = Marks(self.config.node, tuple(self.book.marks.values()), self.hub)
            self.files.write("marks", known.encode())
            reach("deep.marks-written")

    def hello(self) -> Hello:
        """Return the node's account of itself."""
        config, reader = self.config, self.reader
        assert reader is not None
        epochs = reader.epochs()
        return Hello(
            node=config.node,
            site=config.site,
            boot=self.boot,
            outbox=reader.id(),
            epochs=tuple((counter, epochs[counter].nonce) for counter in sorted(epochs)),
            marks=tuple(self.book.marks.values()),
            tallies=reader.tallies(),
            at=time.time_ns(),
            erased=self._erased(),
        )

    def _erased(self) -> Erased:
        """Return what the outbox's writer has carried out of the hub's erasures."""
        try:
            return Erased.decode(self.files.read("erased"))
        except (OSError, ValueError):  # msgspec's errors are ValueErrors
            return Erased()

    def uploads(self, subject: str) -> bool:
        """Tell whether a subject is one of this node's envelopes, without which nothing gets through."""
        tokens = subject.split(".")
        return tokens[:1] == ["up"] and len(tokens) == UPLOAD
