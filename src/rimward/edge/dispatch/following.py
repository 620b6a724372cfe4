"""Following what answers a request: the cells and the topic that its function reads, as far as it tells."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from rimward.edge.dispatch.board import Board
from rimward.edge.dispatch.routes import Match, path_segments
from rimward.edge.dispatch.types import Request
from rimward.edge.dispatch.watching import EVERY, Routed, Watching
from rimward.edge.state import Cells


class Host(Routed, Protocol):
    """What it asks of the dispatcher."""

    board: Board
    watching: Watching
    cells: dict[type[Struct], Cells]


def watch(host: Host, request: Request, changed: Callable[[], None]) -> Callable[[], None] | None:
    """Call `changed` after each change of what a request's function reads, as far as its parameters tell.

    These are its cells, and the topic of the same name as its path, when a function publishes there.
    Returns what ends it; None where no function serves the request.
    """
    segments = path_segments(request.path)
    match = segments and host.board.serve(request.sender.protocol, request.method, segments)
    if not segments or not isinstance(match, Match):
        return None
    run = match.target
    cells = [(slot.cells.space, slot.key) for slot in run.bind(match.captures, request.query).slots]
    cells += [(host.cells[one.type].space, EVERY) for one in run.function.plan.takes("states")]
    return host.watching.follow(host, cells, "/".join(segments), changed)
