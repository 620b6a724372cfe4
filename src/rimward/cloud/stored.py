"""What the lake holds of one fact, as the ledger counts it; reading this needs nothing of the cloud extra."""

from msgspec import Struct


class Stored(Struct, frozen=True):
    """One fact of one node in one snapshot of its table."""

    node: str
    fact: str
    rows: int  # counted in the table
    dead: int  # counted in the dead letters
    counter: int  # the mark
    seq: int
    lost: int = 0  # rows that the node says will never come
    expired: int = 0  # rows whose retention was over, as the table counts them
    erased: int = 0  # rows that were to be erased
