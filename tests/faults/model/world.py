"""The protocol of GUARANTEES §1-2 as values: a node with one fact, its bus, its lake, what was promised.

A row is an event's number. A disk's file is a tuple of epochs; what a power cut leaves of it is another.
Sizes are tiny, so that every order of steps and faults can be tried (explore.py). Not modelled: several facts
and priorities, envelopes cut by size, time; the state machine beside this drives the real parts with those.
"""

from typing import NamedTuple

Place = tuple[int, int]  # (counter, seq)
GONE = 0  # stands in a lane for a row that is not there any more


class Rules(NamedTuple):
    """What the design says; each mutant turns one off."""

    ack_after_commit: bool = True
    commit_is_synced: bool = True
    release_at_return: bool = True
    epoch_per_start: bool = True
    delete_by_mark: bool = True  # False: on the bus's acknowledgement
    attempt_in_id: bool = True
    ingest_syncs: bool = True
    compare: bool = True
    fence: bool = True
    prior: bool = True
    nonces: bool = True
    generations: bool = True
    marks_from_rows: bool = True  # after RESTORE
    side_has_own_mark: bool = True
    rekey_spares_what_was_taken: bool = True  # rows that the lake has under this very nonce stay
    mark_names_nonce: bool = True  # False: another disk's mark frees rows
    ends_known: bool = True  # False: all below the mark is a replay, if its nonce is known


class Epoch(NamedTuple):
    """One start's rows, from 1."""

    counter: int
    nonce: int
    rows: tuple[int, ...] = ()


class Mark(NamedTuple):
    """How far the lake is, as a node hears it."""

    generation: int
    version: int
    counter: int
    nonce: int
    seq: int

    @property
    def reached(self) -> Place:
        """The last row that is in the lake."""
        return self.counter, self.seq


class Disk(NamedTuple):
    """An outbox's file and the processes that work on it."""

    epochs: tuple[Epoch, ...] = ()
    synced: tuple[Epoch, ...] = ()  # what a power cut leaves
    beside: int = 0  # the counter that lies beside the file
    up: bool = False
    pending: tuple[int, ...] = ()  # numbered, not committed
    unanswered: tuple[int, ...] = ()  # committed, their devices don't know
    sent: Place = (0, 0)
    attempt: int = 0
    mark: Mark | None = None
    quarantined: bool = False


class Envelope(NamedTuple):
    """An upload: rows of an epoch from `first` on; GONE rows alone make a loss."""

    counter: int
    nonce: int
    first: int
    rows: tuple[int, ...]
    prior: Place
    prior_nonce: int
    attempt: int

    @property
    def last(self) -> int:
        """The number of its last row."""
        return self.first + len(self.rows) - 1

    @property
    def lost(self) -> bool:
        """Whether it says that its rows will never come."""
        return self.rows[0] == GONE


class Stored(NamedTuple):
    """A row of the table, or of the table of losses."""

    counter: int
    nonce: int
    seq: int
    event: int


class Table(NamedTuple):
    """The lake at one version: rows, losses, and the epochs that it knows."""

    version: int = 0
    rows: tuple[Stored, ...] = ()
    mark: Place = (0, 0)
    losses: tuple[Stored, ...] = ()
    losses_mark: Place = (0, 0)
    nonces: tuple[tuple[int, int], ...] = ()

    def nonce(self, counter: int) -> int | None:
        """Return a counter's nonce, if rows of it ever came."""
        return next((nonce for known, nonce in self.nonces if known == counter), None)

    def end(self, counter: int) -> int:
        """Return the last row that came from a counter."""
        rows = (*self.rows, *self.losses)
        return max((row.seq for row in rows if row.counter == counter), default=0)

    @property
    def highest(self) -> int:
        """The highest counter that is known."""
        return max((counter for counter, _ in self.nonces), default=0)


class Ingest(NamedTuple):
    """One ingest process: the snapshot that it commits on, and what it has in hand."""

    handle: Table = Table()
    hand: Envelope | None = None
    stage: str = "idle"  # "fetched", "aside", "committed" or "synced"


class World(NamedTuple):
    """Everything."""

    disks: tuple[Disk, ...] = (Disk(),)
    bus: frozenset[Envelope] = frozenset()
    past: frozenset[Envelope] = frozenset()  # all that the bus ever had
    ids: frozenset[tuple[int, int, int, int]] = frozenset()  # that the bus remembers
    table: Table = Table()
    synced: Table = Table()
    older: tuple[Table, ...] = ()  # versions that were synced
    ingests: tuple[Ingest, ...] = (Ingest(),)
    announced: Mark | None = None
    generation: int = 0
    copy: Disk | None = None  # of a disk, kept somewhere
    copied: bool = False
    events: int = 0  # so many were taken
    nonces: int = 0  # so many were drawn
    acknowledged: frozenset[int] = frozenset()
    raised: frozenset[int] = frozenset()  # events whose function raised
    excused: frozenset[int] = frozenset()  # may be lost with a record: shed, or gone from lake and node
    steps: tuple[str, ...] = ()  # faults so far, those that may happen once


def with_disk(world: World, number: int, disk: Disk) -> World:
    """Return the world with one disk replaced."""
    return world._replace(disks=(*world.disks[:number], disk, *world.disks[number + 1 :]))


def with_ingest(world: World, number: int, ingest: Ingest) -> World:
    """Return the world with one ingest process replaced."""
    return world._replace(ingests=(*world.ingests[:number], ingest, *world.ingests[number + 1 :]))
