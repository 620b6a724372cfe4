"""Which version of its app a dispatcher runs, and how it goes over to another one or to other settings."""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app.facts import Fact
from rimward.edge.dispatch.away import Away
from rimward.edge.dispatch.board import Board
from rimward.edge.dispatch.firing import Firing
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.streams import StreamRun
from rimward.edge.dispatch.version import Version
from rimward.edge.dispatch.waiting import Waiting
from rimward.edge.state import Cells


class Versioned:
    """The part of a dispatcher that another version of its app takes the place of."""

    firing: Firing
    waiting: Waiting
    away: Away | None
    _events: int

    def __init__(self, version: Version) -> None:
        self.on_turn: list[Callable[[], None]] = []  # told that another version runs, or with other settings
        self.facts: dict[type[Struct], Fact] = version.facts  # those of calls in flight too
        self._take(version)

    def _take(self, version: Version) -> None:
        self.version: Version = version
        self.settings: Struct | None = version.settings
        self.cells: dict[type[Struct], Cells] = version.cells
        self.functions: dict[str, FunctionRun] = version.functions
        self.streams: dict[str, StreamRun] = version.streams
        self.board: Board = version.board
        self._lane = version.board.lane

    def turn(self, version: Version) -> None:
        """Go over to another version, between two events; calls that run end on theirs, with its facts."""
        self._events += version.follow(self.version)
        self.facts = self.facts | version.facts
        self._take(version)
        self.firing.turn(version)
        if self.away is not None:
            self.away.turn()
        for told in self.on_turn:
            told()

    def configure(self, settings: Struct | None) -> None:
        """Have the calls from now on see other settings; those that run keep theirs."""
        self.settings = self.version.settings = settings
        for run in self.functions.values():
            run.settings = settings
        self.board.forget_all()
        for told in self.on_turn:
            told()

    def in_flight(self) -> list[asyncio.Future[Any]]:
        """Return what is done once all calls that run now have ended."""
        far = [] if self.away is None else [self.away.ended()]
        return [*self.waiting.running, *far]
