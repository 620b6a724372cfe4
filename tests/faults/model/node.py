"""What the node does: take, commit, answer, send, hear, free, and move clashing epochs."""

from collections.abc import Iterator

from .hub import forked
from .world import GONE, Disk, Envelope, Epoch, Place, Rules, World, with_disk


def start(world: World, number: int, rules: Rules) -> World:
    """Start the writer: an epoch of its own each time."""
    disk = world.disks[number]
    if disk.epochs and not rules.epoch_per_start:
        return with_disk(world, number, disk._replace(up=True))
    counter = max(disk.beside, max((one.counter for one in disk.epochs), default=0)) + 1
    epochs = (*(one for one in disk.epochs if one.rows), Epoch(counter, world.nonces + 1))
    disk = disk._replace(epochs=epochs, synced=epochs, beside=counter, up=True)
    return with_disk(world._replace(nonces=world.nonces + 1), number, disk)


def take(world: World, number: int, rules: Rules, *, fails: bool) -> World:
    """Call the functions on the next event; one that raises leaves nothing."""
    disk, event = world.disks[number], world.events + 1
    world = world._replace(events=event)
    if fails:
        world = world._replace(raised=world.raised | {event})
    if not fails or not rules.release_at_return:
        disk = disk._replace(pending=(*disk.pending, event))
    if not rules.ack_after_commit and not fails:
        world = world._replace(acknowledged=world.acknowledged | {event})
    return with_disk(world, number, disk)


def commit(world: World, number: int, rules: Rules) -> World:
    """Write what is pending as one transaction."""
    disk = world.disks[number]
    *before, last = disk.epochs
    epochs = (*before, last._replace(rows=last.rows + disk.pending))
    return with_disk(
        world,
        number,
        disk._replace(
            epochs=epochs,
            synced=epochs if rules.commit_is_synced else disk.synced,
            pending=(),
            unanswered=disk.unanswered + disk.pending,
        ),
    )


def answer(world: World, number: int) -> World:
    """Acknowledge what is committed."""
    disk = world.disks[number]
    told = frozenset(disk.unanswered) - world.raised
    return with_disk(
        world._replace(acknowledged=world.acknowledged | told), number, disk._replace(unanswered=())
    )


def following(disk: Disk) -> tuple[Epoch, Place, int] | None:
    """Return the epoch of the next row to send, and the end and nonce of the one before it."""
    prior, nonce = (0, 0), 0
    for epoch in disk.epochs:
        if epoch.rows and (epoch.counter, len(epoch.rows)) > disk.sent:
            return epoch, prior, nonce
        if epoch.rows:
            prior, nonce = (epoch.counter, len(epoch.rows)), epoch.nonce
    return None


def sends(world: World, number: int, rules: Rules) -> Iterator[World]:
    """Yield the worlds in which the next rows, one or all, were given to the bus."""
    found = following(world.disks[number])
    if found is None:
        return
    epoch, prior, nonce = found
    disk = world.disks[number]
    begin = disk.sent[1] if disk.sent[0] == epoch.counter else 0
    kind = [(row == GONE) for row in epoch.rows[begin:]]
    most = next((size for size, gone in enumerate(kind) if gone != kind[0]), len(kind))
    for size in {1, most}:
        rows = epoch.rows[begin : begin + size]
        attempt = disk.attempt if rules.attempt_in_id else 0
        yield _given(
            world,
            number,
            Envelope(epoch.counter, epoch.nonce, begin + 1, rows, prior, nonce, attempt),
            rules,
        )


def _given(world: World, number: int, envelope: Envelope, rules: Rules) -> World:
    end = (envelope.counter, envelope.last)
    disk = world.disks[number]._replace(sent=end)
    if not rules.delete_by_mark:
        disk = freed(disk, end)
    message_id = (envelope.nonce, envelope.first, envelope.last, envelope.attempt)
    if message_id not in world.ids:
        kept = envelope._replace(attempt=0)  # nothing but the bus looks at it
        world = world._replace(bus=world.bus | {kept}, past=world.past | {kept}, ids=world.ids | {message_id})
    return with_disk(world, number, disk)


def freed(disk: Disk, upto: Place) -> Disk:
    """Return the disk without the rows up to a place."""

    def without(epoch: Epoch) -> Epoch:
        seqs = enumerate(epoch.rows, 1)
        return epoch._replace(rows=tuple(GONE if (epoch.counter, seq) <= upto else row for seq, row in seqs))

    return disk._replace(epochs=tuple(map(without, disk.epochs)), synced=tuple(map(without, disk.synced)))


def resend(world: World, number: int) -> World:
    """Go back to the mark, which does not follow."""
    disk = world.disks[number]
    reached = disk.mark.reached if disk.mark else (0, 0)
    return with_disk(world, number, disk._replace(sent=reached, attempt=disk.attempt + 1))


def hear(world: World, number: int, rules: Rules) -> World:
    """Hear how far the lake is; another disk's mark, or an older one, says nothing."""
    disk, mark = world.disks[number], world.announced
    if mark is None or (disk.mark is not None and (mark.generation, mark.version) < disk.mark[:2]):
        return world
    own = any((mark.counter, mark.nonce) == one[:2] for one in disk.epochs)
    forgotten = mark.counter < min((one.counter for one in disk.epochs), default=0)
    if mark.counter and rules.mark_names_nonce and not own and not forgotten:
        return world
    return with_disk(world, number, disk._replace(mark=mark, sent=max(disk.sent, mark.reached)))


def expire(world: World, number: int) -> World:
    """Free the rows that the lake has, `keep_after_commit` being over."""
    disk = world.disks[number]
    assert disk.mark is not None
    there = {row.event for table in (world.synced, *world.older) for row in table.rows}
    after = freed(disk, disk.mark.reached)
    gone = _events(disk) - _events(after)
    return with_disk(world._replace(excused=world.excused | (gone & there)), number, after)


def shed(world: World, number: int) -> World:
    """Give up the oldest row that waits, because there is no room: its numbers stay."""
    disk = world.disks[number]
    for epoch in disk.epochs:
        for seq, row in enumerate(epoch.rows, 1):
            if row != GONE and (disk.mark is None or (epoch.counter, seq) > disk.mark.reached):
                rows = (*epoch.rows[: seq - 1], GONE, *epoch.rows[seq:])
                epochs = tuple(one._replace(rows=rows) if one is epoch else one for one in disk.epochs)
                world = world._replace(excused=world.excused | {row})
                return with_disk(world, number, disk._replace(epochs=epochs, synced=epochs))
    return world


def hello(world: World, number: int, rules: Rules) -> World:
    """Ask the hub whether the identity is one's own, and move clashing epochs where it says so."""
    disk, table = world.disks[number], world.table
    clash = any(forked(table, one.counter, one.nonce, len(one.rows), rules) for one in disk.epochs)
    if clash and any(other.up for index, other in enumerate(world.disks) if index != number):
        return with_disk(world, number, disk._replace(quarantined=True))
    if clash:
        return _rekeyed(world, number, rules)
    return with_disk(world, number, disk._replace(quarantined=False))


def _rekeyed(world: World, number: int, rules: Rules) -> World:
    """Move rows that the lake never took above every counter that it knows, in order, with new nonces."""
    disk, table = world.disks[number], world.table
    reached = disk.mark.reached if disk.mark else (0, 0)
    above = max(table.highest, disk.beside)
    nonce, epochs, moves = world.nonces, list[Epoch](), False
    for epoch in disk.epochs:
        own = table.nonce(epoch.counter) == epoch.nonce
        taken = table.end(epoch.counter) if own else 0
        if not rules.rekey_spares_what_was_taken:
            waits = (epoch.counter, len(epoch.rows)) > reached
            taken = 0 if waits or not epoch.rows else len(epoch.rows)
        running = epoch is disk.epochs[-1]
        moves = moves or forked(table, epoch.counter, epoch.nonce, len(epoch.rows), rules) or taken == 0
        stay, move = (epoch.rows[:taken], epoch.rows[taken:]) if moves else (epoch.rows, ())
        if stay:
            epochs.append(epoch._replace(rows=stay))
        if move or (running and moves):
            above, nonce = above + 1, nonce + 1
            epochs.append(Epoch(above, nonce, move))
    disk = disk._replace(
        epochs=tuple(epochs), synced=tuple(epochs), beside=above, quarantined=False,
        sent=min(disk.sent, reached), attempt=disk.attempt + 1,
    )  # fmt: skip
    return with_disk(world._replace(nonces=nonce), number, disk)


def _events(disk: Disk) -> frozenset[int]:
    return frozenset(row for epoch in disk.epochs for row in epoch.rows) - {GONE}
