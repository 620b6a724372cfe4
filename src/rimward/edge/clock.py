"""Where the node's time comes from: a monotonic clock that counts, and a wall clock that is believed or not.

Rows are stamped with CLOCK_BOOTTIME and the quality of the wall clock; what the one is to the other is a
record of its own in the table `_clock` (GUARANTEES §6). Nothing of this is looked at for an event: whoever
writes rows asks for a stamp once a commit, and the kernel is asked once a second.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from rimward.observe.faults import Faults

Quality = Literal["synced", "holdover", "unsynced"]
LOOK = 1_000_000_000  # ns between two looks at the kernel
STEP = 5_000_000  # ns by which the wall clock moves against the monotonic one before that is a step
SLACK = 1_000_000  # ns that a stamp may be old by, in terms of a slewed clock
BEHIND = 120_000_000_000  # ns below the latest time seen at which the wall clock is not believed
REPEAT = 600_000_000_000  # ns after which an unchanged clock is told again: bounds grow with the distance
FOLLOW = 0.5  # seconds between two looks whether a fault makes the clock wrong
DRIFT = 500e-6  # of a clock that nothing disciplines: what the kernel takes for itself (MAXFREQ)


class Sources(Struct, frozen=True):
    """The machine's clocks, injected; all in ns."""

    monotonic: Callable[[], int]  # what the node stamps events with
    wall: Callable[[], int]  # since the epoch
    boottime: Callable[[], int]  # goes on while the machine sleeps
    discipline: Callable[[], int | None]  # by how much the wall may be wrong; None: nothing keeps it right
    boot: str  # of the machine


class Trusted(Protocol):
    """The latest time that was ever seen here."""

    def __call__(self) -> int:
        """Return it, ns since the epoch."""
        ...

    def note(self) -> None:
        """Keep it on disk, now and then."""
        ...


class Stamp(Struct, frozen=True):
    """What the clocks were to each other at one look."""

    boot: str
    at: int  # monotonic ns
    offset: int  # the wall clock less the monotonic one, ns
    asleep: int  # CLOCK_BOOTTIME less the monotonic one, ns
    quality: Quality
    believed: bool  # False: the wall clock is below what was seen before
    bound: int | None  # ns by which the wall clock may be wrong; None: nobody knows

    def received(self, monotonic: int) -> int | None:
        """Return the wall clock at a monotonic time, ns; None where it is not to be believed."""
        return monotonic + self.offset if self.believed else None

    def values(self) -> tuple[str, int, int, int | None, str]:
        """Return the row of `_clock` that says it."""
        return self.boot, self.at + self.asleep, self.at + self.offset, self.bound, self.quality

    def moved(self, other: "Stamp") -> int:
        """Return by how much the wall clock was set since another look, ns."""
        return (self.offset - self.asleep) - (other.offset - other.asleep)

    def differs(self, other: "Stamp") -> bool:
        """Tell whether rows stamped by the one are placed wrongly, or less well, by the other."""
        return (
            abs(self.moved(other)) > STEP
            or (self.quality, self.believed) != (other.quality, other.believed)
            or self.at - other.at > REPEAT
        )


class NodeClock:
    """The node's wall clock, and how good it is. Safe to ask from several threads."""

    def __init__(self, sources: Sources, trusted: Trusted | None = None, *, tells: bool = True) -> None:
        """`trusted` knows the latest time ever seen; without it every wall clock is believed.

        `tells=False`: nothing is known that would be worth a record.
        """
        self._sources = sources
        self._trusted = trusted
        self._tells = tells
        self._synced: Stamp | None = None  # the newest that was, in this boot
        self._stamp: Stamp | None = None
        self._told: Stamp | None = None
        self._floor: tuple[int, int] | None = None  # the latest time ever seen, and when that was asked for

    @property
    def boot(self) -> str:
        """What names this boot of the machine."""
        return self._sources.boot

    def boottime(self) -> int:
        """Return what goes on by itself while the machine is on, ns: nobody can set it."""
        return self._sources.boottime()

    def believed(self) -> int | None:
        """Return the wall clock, ns since the epoch; None where it is below what was seen before."""
        wall = self._sources.wall()
        return wall if self._trusted is None or wall >= self._trusted() - BEHIND else None

    def earliest(self) -> int:
        """Return the wall clock, or, where it is not believed, the earliest that it can be, ns."""
        wall = self.believed()
        if wall is not None or self._trusted is None:
            return wall or 0
        if self._floor is None:
            self._floor = self._trusted(), self.boottime()
        latest, since = self._floor
        return latest + self.boottime() - since

    def stamp(self) -> Stamp:
        """Return the newest look; a new one where that is old, or where the wall clock was set since."""
        last = self._stamp
        if last is not None:
            now = self._sources.monotonic()
            if now - last.at < LOOK and abs(self._sources.wall() - now - last.offset) < STEP:
                return last
        return self.look()

    def look(self) -> Stamp:
        """Look at every clock now, and keep the time for the next start."""
        sources, trusted = self._sources, self._trusted
        at, wall, boottime = sources.monotonic(), sources.wall(), sources.boottime()
        believed = trusted is None or wall >= trusted() - BEHIND
        error = sources.discipline() if believed else None
        stamp = Stamp(sources.boot, at, wall - at, boottime - at, "unsynced", believed, None)
        if error is not None:
            stamp = self._synced = replace(stamp, quality="synced", bound=error + SLACK)
        elif believed and (synced := self._synced) is not None and abs(stamp.moved(synced)) <= STEP:
            assert synced.bound is not None
            drift = round((at - synced.at) * DRIFT)
            stamp = replace(stamp, quality="holdover", bound=synced.bound + drift)
        if believed and trusted is not None:
            trusted.note()
        self._stamp = stamp
        return stamp

    def news(self, stamp: Stamp) -> bool:
        """Tell whether `_clock` has no record yet that places rows of this stamp well."""
        return self._tells and (self._told is None or stamp.differs(self._told))

    def told(self, stamp: Stamp) -> None:
        """Take that a record of the stamp is on disk."""
        self._told = stamp


class ShiftedWall:
    """A wall clock that a fault may set wrong; `look` follows the faults, and asking costs an addition."""

    def __init__(self, wall: Callable[[], int], faults: Faults) -> None:
        self._wall = wall
        self._faults = faults
        self._shift = 0

    def __call__(self) -> int:
        """Return the time, ns since the epoch."""
        return self._wall() + self._shift

    async def follow(self) -> None:
        """Look again and again, until cancelled; a disk that hangs holds nobody up."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(FOLLOW)

    def look(self) -> None:
        """Look whether the clock is to be wrong now."""
        fault = self._faults.get("clock")
        self._shift: int = 0 if fault is None else fault.offset


def plain_clock(wall: Callable[[], int], monotonic: Callable[[], int], boot: str = "") -> NodeClock:
    """Return a clock that is believed and of which nothing more is known, for one that is injected."""
    return NodeClock(Sources(monotonic, wall, monotonic, lambda: None, boot), tells=False)


def machine_clock(
    wall: Callable[[], int], monotonic: Callable[[], int], trusted: Trusted | None = None
) -> NodeClock:
    """Return this machine's clock around the node's own two."""
    from rimward.edge.kernel import Discipline, boot_id, boottime

    return NodeClock(Sources(monotonic, wall, boottime, Discipline(), boot_id()), trusted)
