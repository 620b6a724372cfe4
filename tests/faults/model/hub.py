"""What the hub does: judge on the snapshot that it commits on, commit aside first, sync, then announce."""

from .world import Envelope, Ingest, Mark, Place, Rules, Stored, Table, World, with_ingest


def opened(world: World, rules: Rules) -> World:
    """Start the hub: what is not known to be on stable storage is synced before any mark is told."""
    world = world._replace(ingests=tuple(Ingest(world.table) for _ in world.ingests))
    return _announce(synced(world) if rules.ingest_syncs else world)


def synced(world: World) -> World:
    """Put the table on stable storage."""
    return world._replace(synced=world.table)


def fetch(world: World, number: int, envelope: Envelope) -> World:
    """Take an envelope from the bus; it stays there until it is acknowledged."""
    return with_ingest(world, number, world.ingests[number]._replace(hand=envelope, stage="fetched"))


def verdict(table: Table, envelope: Envelope, rules: Rules) -> str:
    """Say what an envelope is to a table: "new", "duplicate", "gap" or "clash"."""
    counter, nonce, last = envelope.counter, envelope.nonce, envelope.last
    if rules.nonces and table.nonce(counter) not in (None, nonce):
        return "clash"
    if not rules.compare:
        return "new"
    if (counter, last) <= table.mark:
        return "clash" if forked(table, counter, nonce, last, rules) else "duplicate"
    return _beyond(table, envelope, rules)


def _beyond(table: Table, envelope: Envelope, rules: Rules) -> str:
    if envelope.counter == table.mark[0]:
        return "new" if envelope.first <= table.mark[1] + 1 else "gap"
    if envelope.first != 1 or (rules.prior and table.mark < envelope.prior):
        return "gap"
    if rules.nonces and rules.prior and envelope.prior != (0, 0):
        known = table.nonce(envelope.prior[0])
        return "new" if known == envelope.prior_nonce else "clash"
    return "new"


def forked(table: Table, counter: int, nonce: int, last: int, rules: Rules) -> bool:
    """Tell whether rows were numbered by another start than those that the table has passed them with."""
    if not rules.nonces:
        return False
    known = table.nonce(counter)
    if known is not None:
        beyond = rules.ends_known and counter < table.mark[0] and last > table.end(counter)
        return known != nonce or beyond
    return counter < table.mark[0]


def aside(world: World, number: int, rules: Rules) -> World:
    """Commit the epoch's nonce and a loss, each with a mark of its own, before the rows."""
    ingest = world.ingests[number]
    envelope = ingest.hand
    assert envelope is not None
    said = verdict(ingest.handle, envelope, rules)
    if said == "gap" and ingest.handle != world.table:  # another process may have what is missing
        return with_ingest(world, number, ingest._replace(handle=world.table))
    if said != "new":
        return _done(world, number)
    table, handle, end = world.table, ingest.handle, (envelope.counter, envelope.last)
    if table.nonce(envelope.counter) is None:
        nonces = tuple(sorted((*table.nonces, (envelope.counter, envelope.nonce))))
        table, handle = table._replace(nonces=nonces), handle._replace(nonces=nonces)
    elif handle.nonces != table.nonces:  # another process's: the fence of that table
        return with_ingest(world, number, ingest._replace(handle=world.table))
    if envelope.lost and not (rules.side_has_own_mark and end <= table.losses_mark):
        if rules.fence and table.losses_mark != handle.losses_mark:
            return with_ingest(world, number, ingest._replace(handle=world.table))
        fresh = _rows(envelope, handle.mark)
        table = table._replace(losses=table.losses + fresh, losses_mark=end)
        handle = handle._replace(losses_mark=end)
    world = world._replace(table=table)
    return with_ingest(world, number, ingest._replace(handle=handle, stage="aside"))


def commit(world: World, number: int, rules: Rules) -> World:
    """Commit rows with the mark; another writer's commit since the handle was read makes it fail."""
    ingest, table = world.ingests[number], world.table
    envelope = ingest.hand
    assert envelope is not None
    if rules.fence and table.mark != ingest.handle.mark:
        return with_ingest(world, number, Ingest(table, envelope, "fetched"))
    fresh = () if envelope.lost else _rows(envelope, ingest.handle.mark if rules.compare else (0, 0))
    table = table._replace(
        version=table.version + 1, rows=table.rows + fresh, mark=(envelope.counter, envelope.last)
    )
    return with_ingest(world._replace(table=table), number, Ingest(table, envelope, "committed"))


def sync(world: World, number: int) -> World:
    """Put all commits on stable storage."""
    older = world.older if world.synced in world.older else (*world.older, world.synced)
    world = world._replace(synced=world.table, older=older)
    return with_ingest(world, number, world.ingests[number]._replace(stage="synced"))


def finish(world: World, number: int) -> World:
    """Tell the bus and the node."""
    return _announce(_done(world, number))


def _done(world: World, number: int) -> World:
    ingest = world.ingests[number]
    world = world._replace(bus=world.bus - {ingest.hand})
    return with_ingest(world, number, ingest._replace(hand=None, stage="idle"))


def _announce(world: World) -> World:
    table = world.table
    counter, seq = table.mark
    nonce = table.nonce(counter) or 0
    return world._replace(announced=Mark(world.generation, table.version, counter, nonce, seq))


def _rows(envelope: Envelope, mark: Place) -> tuple[Stored, ...]:
    numbered = enumerate(envelope.rows, envelope.first)
    return tuple(
        Stored(envelope.counter, envelope.nonce, seq, row)
        for seq, row in numbered
        if (envelope.counter, seq) > mark
    )


def restored(world: World, older: Table, rules: Rules, *, by_delta: bool) -> World:
    """Open a lake that was restored: a copy of its folder, or Delta's RESTORE, which leaves the mark."""
    now = world.table
    if by_delta:
        table = now._replace(version=now.version + 1, rows=older.rows)
        if rules.marks_from_rows:
            table = table._replace(mark=_reached(table))
    else:
        table = older
    generation = world.generation + rules.generations
    older_ones = tuple(dict.fromkeys((*world.older, world.synced)))
    world = world._replace(table=table, synced=table, older=older_ones, generation=generation)
    return opened(world, rules)


def _reached(table: Table) -> Place:
    """Return how far rows and losses go without a hole."""
    there = {(one.counter, one.seq) for one in (*table.rows, *table.losses)}
    reached = (0, 0)
    for counter in sorted({counter for counter, _ in there}):
        seq = 0
        while (counter, seq + 1) in there:
            seq += 1
        if seq == 0:
            break
        reached = (counter, seq)
        if any(other > seq for known, other in there if known == counter):
            break
    return reached


def doubles(rows: tuple[Stored, ...]) -> bool:
    """Tell whether any row is there twice."""
    return len({(one.counter, one.nonce, one.seq) for one in rows}) != len(rows)


__all__ = ["Ingest", "aside", "commit", "doubles", "fetch", "finish", "opened", "restored", "sync", "synced"]
