"""What the outbox may hold."""

from msgspec import Struct


class OutboxConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the outbox may hold and for how long."""

    max_bytes: int = 1 << 30
    keep_after_commit: float = 86_400.0  # seconds that committed rows stay
    dead_bytes: int = 8 << 20  # the dead letters' own budget
