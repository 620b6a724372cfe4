"""Every order of steps and faults up to a size, and what must hold after each: a breadth-first search."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from . import hub, node
from .world import GONE, Disk, Rules, Stored, Table, World, with_disk

ROUNDS = 16  # of good weather, after which nothing may be under way


class Size(NamedTuple):
    """How much may happen."""

    faults: tuple[str, ...]  # which there are
    events: int = 2
    most: int = 2  # faults
    attempts: int = 1  # repeats of the uplink
    ingests: int = 1
    in_order: bool = False  # the faults come as they are listed, each once
    states: int = 5_000_000  # after so many the search stops


class Found(NamedTuple):
    """A way to break a promise."""

    broken: str
    path: tuple[str, ...]


def steps(world: World, rules: Rules, size: Size) -> Iterator[tuple[str, World]]:
    """Yield every world that one step leads to."""
    for number, disk in enumerate(world.disks):
        for label, after in _node_steps(world, number, disk, rules, size):
            yield f"{label} {number}", after
    for number, ingest in enumerate(world.ingests):
        for label, after in _ingest_steps(world, number, ingest.stage, rules):
            yield f"{label} {number}", after
    if len(world.steps) < size.most:
        for fault in size.faults[len(world.steps) :][:1] if size.in_order else size.faults:
            for after in FAULTS[fault](world, rules):
                yield f"FAULT {fault}", after._replace(steps=(*world.steps, fault))


def _node_steps(
    world: World, number: int, disk: Disk, rules: Rules, size: Size
) -> Iterator[tuple[str, World]]:
    if not disk.up:
        yield "start", node.start(world, number, rules)
        return
    if world.events < size.events:
        yield "take", node.take(world, number, rules, fails=False)
        if world.events == 0:
            yield "take, which raises", node.take(world, number, rules, fails=True)
    if disk.pending:
        yield "commit", node.commit(world, number, rules)
    if disk.unanswered:
        yield "answer", node.answer(world, number)
    yield from _uplink_steps(world, number, disk, rules, size)


def _uplink_steps(
    world: World, number: int, disk: Disk, rules: Rules, size: Size
) -> Iterator[tuple[str, World]]:
    if not disk.quarantined:
        for after in node.sends(world, number, rules):
            yield "send", after
    reached = disk.mark.reached if disk.mark else (0, 0)
    if disk.sent > reached and disk.attempt < size.attempts:
        yield "resend", node.resend(world, number)
    yield "hear", node.hear(world, number, rules)
    if len(world.disks) > 1 or world.copy is not None:
        yield "hello", node.hello(world, number, rules)


def _ingest_steps(world: World, number: int, stage: str, rules: Rules) -> Iterator[tuple[str, World]]:
    if stage == "idle":
        for envelope in world.bus:
            yield "fetch", hub.fetch(world, number, envelope)
    elif stage == "fetched":
        yield "aside", hub.aside(world, number, rules)
    elif stage == "aside":
        yield "commit to the lake", hub.commit(world, number, rules)
    elif stage == "committed" and rules.ingest_syncs:
        yield "sync", hub.sync(world, number)
    else:
        yield "announce", hub.finish(world, number)


# -- faults


def _node_dies(world: World, rules: Rules, *, power: bool = False) -> Iterator[World]:
    for number, disk in enumerate(world.disks):
        if disk.up:
            epochs = disk.synced if power else disk.epochs
            dead = disk._replace(
                up=False, pending=(), unanswered=(), sent=disk.mark.reached if disk.mark else (0, 0),
                attempt=0, quarantined=False, epochs=epochs, synced=epochs,
            )  # fmt: skip
            yield with_disk(world, number, dead)


def _hub_dies(world: World, rules: Rules, *, power: bool = False) -> Iterator[World]:
    table = world.synced if power else world.table
    yield hub.opened(world._replace(table=table), rules)


def _bus_wiped(world: World, rules: Rules) -> Iterator[World]:
    yield world._replace(bus=frozenset(), ids=frozenset())


def _bus_repeats(world: World, rules: Rules) -> Iterator[World]:
    for envelope in world.past - world.bus:
        yield world._replace(bus=world.bus | {envelope})


def _lake_restored(world: World, rules: Rules, *, by_delta: bool) -> Iterator[World]:
    for older in world.older:
        if older != world.table:
            yield hub.restored(world, older, rules, by_delta=by_delta)


def _expires(world: World, rules: Rules) -> Iterator[World]:
    for number, disk in enumerate(world.disks):
        if disk.mark is not None and disk.mark.counter:
            yield node.expire(world, number)


def _sheds(world: World, rules: Rules) -> Iterator[World]:
    for number, disk in enumerate(world.disks):
        if any(row != GONE for epoch in disk.epochs for row in epoch.rows):
            yield node.shed(world, number)


def _copied(world: World, rules: Rules) -> Iterator[World]:
    for disk in world.disks:
        if disk.epochs and world.copy is None:
            yield world._replace(copy=_still(disk), copied=True)


def _still(disk: Disk) -> Disk:
    """Return a disk as it is while nothing runs on it."""
    return disk._replace(
        up=False, pending=(), unanswered=(), attempt=0, quarantined=False, epochs=disk.synced,
        sent=disk.mark.reached if disk.mark else (0, 0),
    )  # fmt: skip


def _rolled_back(world: World, rules: Rules) -> Iterator[World]:
    """Put the copy in the disk's place: what came since and is not in the lake was on that disk alone."""
    if world.copy is None:
        return
    there = {row.event for row in world.synced.rows}
    kept = {row for epoch in world.copy.epochs for row in epoch.rows}
    excused = world.excused | (world.acknowledged - there - kept)
    yield with_disk(world._replace(copy=None, excused=excused), 0, world.copy)


def _cloned(world: World, rules: Rules) -> Iterator[World]:
    """Put the copy into a second machine."""
    if world.copy is not None and len(world.disks) == 1:
        yield world._replace(copy=None, disks=(*world.disks, world.copy))


FAULTS = {
    "node killed": _node_dies,
    "node loses power": partial(_node_dies, power=True),
    "hub killed": _hub_dies,
    "hub loses power": partial(_hub_dies, power=True),
    "bus wiped": _bus_wiped,
    "bus repeats": _bus_repeats,
    "lake copied back": partial(_lake_restored, by_delta=False),
    "lake RESTOREd": partial(_lake_restored, by_delta=True),
    "keep window over": _expires,
    "rows shed": _sheds,
    "disk copied": _copied,
    "disk rolled back": _rolled_back,
    "disk cloned": _cloned,
}


# -- what must hold


def broken(world: World) -> str | None:
    """Return the promise that is broken in this very moment."""
    if hub.doubles(world.table.rows):
        return "a row is in the table twice"
    events = [row.event for row in world.table.rows]
    if len(set(events)) != len(events):
        return "a message is in the table twice"
    if hub.doubles(world.table.losses):
        return "a loss is recorded twice"
    if events != sorted(events) and not world.copied:
        return "messages of one node are in the table in another order"
    if world.raised & set(events):
        return "a call that raised left a row"
    return None


def broken_in_the_end(world: World, rules: Rules) -> str | None:
    """Return the promise that is broken once everything has had its time, disk after disk."""
    for number in range(len(world.disks)):
        for other in range(len(world.disks)):  # the others are switched off
            if other != number:
                (world,) = tuple(_off(world, other))
        world = _settled(world, number, rules)
        if (found := broken(world)) is not None:
            return found
    there = {row.event for row in world.table.rows}
    missing = world.acknowledged - there
    if missing - world.excused:
        return "an acknowledged message is not in the table"
    recorded = len(world.table.losses)
    gone = [row for disk in world.disks for epoch in disk.epochs for row in epoch.rows]
    if recorded > gone.count(GONE):
        return "more losses are recorded than there are"
    return _gapless(world.table)


def _gapless(table: Table) -> str | None:
    lanes: dict[tuple[int, int], list[int]] = {}
    for row in (*table.rows, *table.losses):
        lanes.setdefault((row.counter, row.nonce), []).append(row.seq)
    for seqs in lanes.values():
        if sorted(set(seqs)) != list(range(1, max(seqs) + 1)):
            return "a lane has a hole that nobody recorded"
    return None


def _off(world: World, number: int) -> Iterator[World]:
    disk = world.disks[number]
    if disk.pending:  # it goes down in order
        world = node.commit(world, number, Rules())
        disk = world.disks[number]
    yield with_disk(world, number, disk._replace(up=False, unanswered=()))


def _settled(world: World, number: int, rules: Rules) -> World:
    """Return the world after good weather for one disk: no faults, fair turns."""
    if not world.disks[number].up:
        world = node.start(world, number, rules)
    if world.disks[number].pending:
        world = node.commit(world, number, rules)
    world = node.answer(world, number)
    for _ in range(ROUNDS):
        before = world
        world = node.hello(world, number, rules)
        while (sent := next(node.sends(world, number, rules), None)) is not None:
            world = sent
        world = _drained(world, rules)
        world = node.hear(world, number, rules)
        if world != before:
            continue
        disk = world.disks[number]
        if disk.quarantined or disk.sent <= (disk.mark.reached if disk.mark else (0, 0)):
            break
        world = node.resend(world, number)
    return world


def _drained(world: World, rules: Rules) -> World:
    for number in range(len(world.ingests)):
        for _ in range(64):
            found = next(_ingest_steps(world, number, world.ingests[number].stage, rules), None)
            if found is None:
                break
            world = found[1]
    return world


def explore(rules: Rules, size: Size) -> Found | int:
    """Return the shortest way to break a promise, or how many worlds were looked at without finding one."""
    first = node.start(World(ingests=(hub.Ingest(),) * size.ingests), 0, rules)
    seen: dict[World, tuple[World | None, str]] = {first: (None, "")}
    todo = deque([first])
    while todo:
        world = todo.popleft()
        found = broken(world) or broken_in_the_end(world, rules)
        if found is not None:
            return Found(found, _path(seen, world))
        for label, after in steps(world, rules, size):
            if after not in seen:
                seen[after] = (world, label)
                todo.append(after)
                if len(seen) >= size.states:
                    return len(seen)
    return len(seen)


def _path(seen: dict[World, tuple[World | None, str]], world: World) -> tuple[str, ...]:
    labels: list[str] = []
    at: World | None = world
    while at is not None:
        at, label = seen[at]
        labels.append(label)
    return tuple(reversed(labels[:-1]))


__all__ = ["FAULTS", "Found", "Size", "Stored", "explore"]
