"""Which nodes' rows an ingest process takes: nodes fall into buckets, buckets into shares.

The bus counts the same buckets: a stream's subject transform puts a node's bucket before its name, so that
what a node may publish stays the same and consumers can be told apart by it (docs/adr/0071).
"""

from rimward.wire import Lane, parse_up

BUCKETS = 16  # for ever: another number would change the streams' subjects


def bucket_of(node: str) -> int:
    """Return a node's bucket, as `{{partition(16,1)}}` of the bus does: FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in node.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value % BUCKETS


def share_of(node: str, shares: int) -> int:
    """Return the share of a node, of so many."""
    return bucket_of(node) % shares


def transform(region: str, priority: str) -> tuple[str, str]:
    """Return what a priority's stream makes of its subjects: from what, to what."""
    return (
        f"up.{region}.*.{priority}.>",
        f"up.{region}.{{{{partition({BUCKETS},1)}}}}.{{{{wildcard(1)}}}}.{priority}.>",
    )


def filters(region: str, priority: str, share: int, shares: int) -> list[str]:
    """Return the subjects of one share's envelopes in a priority's stream."""
    return [f"up.{region}.{bucket}.*.{priority}.>" for bucket in range(share, BUCKETS, shares)]


def parse_stored(subject: str) -> tuple[str, Lane]:
    """Return the region and lane of an upload's subject as its stream has it.

    Raises:
        ValueError: it is none.
    """
    tokens = subject.split(".")
    if len(tokens) != 7 or not tokens[2].isdecimal():
        raise ValueError(f"{subject!r} is not up.<region>.<bucket>.<node>.<priority>.<epoch>.<fact>")
    region, lane = parse_up(".".join((*tokens[:2], *tokens[3:])))
    if bucket_of(lane.node) != int(tokens[2]):
        raise ValueError(f"{subject!r} names another bucket than that of its node")
    return region, lane
