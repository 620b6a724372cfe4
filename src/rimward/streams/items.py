"""What an operator of one key is: items in, items out, and the moment at which it wants to be asked again.

Nothing here reads a clock. The driver brings items, and the key's event clock: the newest event time that the
key has shown, moved on by the driver while the key is silent. An operator that holds items back says with
`delay` how far its outputs stay behind; operators after it see a clock that is so much earlier.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

Item: TypeAlias = tuple[int, Any, str | None]
"""Event time in ns since the epoch, value, and what tells the item from others that its key makes.

The latter is None for an item that stands for the message it came with.
"""


class Aside:
    """What leaves a stream by the side: late items, and items on which a user's function raised."""

    __slots__ = ("ahead", "errors", "lates", "unfit", "until")

    def __init__(self) -> None:
        self.lates: list[Item] = []
        self.errors: list[tuple[Item, Exception]] = []
        self.unfit: int = 0  # operators' states that a snapshot had and no operator could take
        self.until: int = (
            1 << 62
        )  # ns since the epoch; what says that it is later is refused where it is opened
        self.ahead: int = 0  # items refused so


class Operator(Protocol):
    """One step of one key."""

    delay: int  # ns by which outputs may stay behind the clock

    @property
    def late(self) -> int:
        """Items that came too late to count, each told to the aside."""
        ...

    def insert(self, item: Item) -> Sequence[Item]:
        """Take an item; return what leaves.

        Raises:
            RimwardError, TypeError, ValueError: the item can't be taken, and has changed nothing.
        """
        ...

    def advance(self, clock: int) -> Sequence[Item]:
        """Hear that the key's event time has reached `clock`; return what leaves, oldest first."""
        ...

    def deadline(self) -> int | None:
        """Return the clock at which `advance` has something to do; None is never."""
        ...

    def snapshot(self) -> Any:
        """Return the state as builtins that msgpack can carry; None is that of a new operator."""
        ...

    def restore(self, snapshot: Any) -> None:
        """Take over a snapshot's state, or raise TypeError or ValueError with nothing changed."""
        ...


class Untimed:
    """An operator that only items move."""

    __slots__ = ("late",)

    delay: int = 0

    def __init__(self) -> None:
        self.late: int = 0

    def advance(self, clock: int) -> Sequence[Item]:
        """Do nothing."""
        del clock
        return ()

    def deadline(self) -> int | None:
        """Return that no clock is needed."""
        return None
