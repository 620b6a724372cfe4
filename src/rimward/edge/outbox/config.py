"""What the outbox may hold."""

from typing import Literal

from msgspec import Struct


class OutboxConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the outbox may hold and for how long."""

    max_bytes: int = 1 << 30  # of rows; what is in flight when it is reached, two groups, may go beyond
    when_full: Literal["shed-oldest", "shed-lowest", "refuse"] = "shed-lowest"  # where a fact says nothing
    reserve: int = 16 << 20  # bytes of the disk that rows leave free; a quarter is held for records of losses
    keep_after_commit: float = 86_400.0  # seconds that committed rows stay
    dead_bytes: int = 8 << 20  # the dead letters' own budget
