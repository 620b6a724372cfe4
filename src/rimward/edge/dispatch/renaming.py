"""What states and streams find on disk; of renamed ones it moves to the new name, in one transaction."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from msgspec import Struct

from rimward.app import App
from rimward.app.functions import StreamDeclaration
from rimward.app.state import StateType
from rimward.edge.cells import STATES, StatesConfig
from rimward.edge.dispatch.keys import Ground, StreamsConfig
from rimward.edge.dispatch.ports import OutboxPort
from rimward.edge.outbox import Put, Transaction
from rimward.edge.state import LOOKED_AT, Cells
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.dispatch")


def load_cells(
    outbox: OutboxPort, type_: StateType[Any], wall: Callable[[], int], config: StatesConfig = STATES
) -> Cells:
    """Return a state type's cells; `wall` is the clock by which they expire.

    Raises:
        Problem: none of those that were looked at fits the type.
        OutboxBroken: the file can't be read.
    """
    cells = Cells(type_, wall, outbox, config)
    if type_.was is not None and outbox.count(f"state:{type_.was}"):
        stored = load_renamed(outbox, "state", type_.name, type_.was)
        times = load_renamed(outbox, "changed", type_.name, type_.was)
        if len(stored) > cells.drawer.limit:
            cells.take(dict(islice(stored.items(), LOOKED_AT)), {}, len(stored))
        else:
            cells.take(stored, times)
    elif (count := outbox.count(cells.space)) > cells.drawer.limit:
        cells.take(dict(outbox.page(cells.space, "", LOOKED_AT)[0]), {}, count)
    else:
        cells.take(outbox.load(cells.space), outbox.load(cells.times_space) if type_.expires else {})
    return cells


def stream_ground(
    app: App,
    node: tuple[OutboxPort, str, Callable[[], int]],
    cells: dict[type[Struct], Cells],
    config: StreamsConfig,
    *,
    running: bool,
) -> Ground:
    """Return what an app's streams stand on, the keys of renamed ones moved.

    `node` is its outbox, its start's id and its monotonic clock, ns; `running`: another version ran before.
    """
    outbox, boot, now = node
    moved = {one.name: move_windows(outbox, one) for one in app.streams.values()}
    return Ground(outbox, boot, now, lambda struct: cells[struct].find, config, moved, running=running)


def move_windows(outbox: OutboxPort, stream: StreamDeclaration) -> int:
    """Move a renamed stream's keys to its new name; return how many there are."""
    if stream.was is None or not outbox.count(f"stream:{stream.was}"):
        return 0
    moved = load_renamed(outbox, "stream", stream.name, stream.was)
    rows = Transaction()
    rows.puts += [Put(space, row, None) for space in (f"due:{stream.was}",) for row in outbox.load(space)]
    if rows.puts:
        outbox.append(rows, None)
    return len(moved)


def load_renamed(outbox: OutboxPort, kind: str, name: str, was: str | None) -> dict[str, bytes]:
    """Return what is stored under `kind:name`; what is still under `kind:was` is moved there first.

    A key that is there under both names keeps the newer name's value.
    """
    space = f"{kind}:{name}"
    stored = outbox.load(space)
    old = outbox.load(f"{kind}:{was}") if was is not None else {}
    if not old:
        return stored
    moving = Transaction()
    for key, value in old.items():
        moving.puts.append(Put(f"{kind}:{was}", key, None))
        if key not in stored:
            stored[key] = value
            moving.puts.append(Put(space, key, value))
    outbox.append(moving, None)
    log.info("renamed", kind=kind, was=was, name=name, keys=len(old))
    return stored
