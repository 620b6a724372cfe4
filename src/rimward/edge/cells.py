"""What a node has of a state in memory: cells, and what is known of all of them."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from rimward.app.forms import Form

MAX_WAITING = 1024  # messages that may wait for one cell; one more is refused as busy


class StatesConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What states may hold."""

    in_memory: int = 50_000  # cells of each durable state; about 0.5 KB each for a few numbers
    max_cells: int = 5_000_000  # of each durable state, on disk; a message that makes one more is refused
    volatile: int = 200_000  # of each other state, all in memory; as above


STATES = StatesConfig()


class Cell:
    """One key's committed value, and the messages that wait for the call that holds it."""

    __slots__ = ("_waiting", "error", "form", "fresh", "held", "pins", "unknown", "value")

    def __init__(self, form: Form[Any], value: Struct, unknown: Any = None, *, fresh: bool = False) -> None:
        self.form: Form[Any] = form  # of the version of the app that the value is of
        self.value: Struct = value
        self.unknown: Any = unknown  # what other versions of the app have in it
        self.fresh: bool = fresh  # no call has changed it yet: it is not kept
        self.error: str | None = None  # why it can't be read
        self.held: bool = False
        self.pins: int = 0  # changes whose transactions the outbox has not been given
        self._waiting: deque[Callable[[], None]] | None = None

    @property
    def waiting(self) -> deque[Callable[[], None]]:
        """The messages that wait."""
        if self._waiting is None:
            self._waiting = deque()
        return self._waiting

    def sealed(self) -> bytes:
        """Return it as the disk has it."""
        return self.form.sealed(self.value, self.unknown)

    def unpin(self) -> None:
        """Take note that the outbox has a change, or that it was taken back."""
        self.pins -= 1

    def let_go(self) -> None:
        """Let the messages that wait have it, until one holds it again."""
        self.held = False
        while self._waiting and not self.held:
            self._waiting.popleft()()
        if not self._waiting:
            self._waiting = None


class Drawer:
    """What a node has of one state's cells, whatever version of the app asks."""

    __slots__ = ("changed", "complete", "count", "hot", "limit", "most", "refused", "since", "unread")

    def __init__(self, *, limit: int, most: int) -> None:
        self.hot: OrderedDict[str, Cell] = OrderedDict()  # the one not used for longest first
        self.changed: dict[str, int] = {}  # of those in memory, wall ns of the last change
        self.limit: int = limit  # in memory
        self.most: int = most
        self.count: int = 0  # cells that are kept
        self.complete: bool = True  # all are in memory
        self.since: str | None = ""  # where the sweep of those on disk goes on
        self.refused: int = 0  # new ones, for there was no room
        self.unread: int = 0  # times that one could not be read
