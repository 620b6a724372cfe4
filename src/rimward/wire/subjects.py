"""Bus subjects. The bus polices subjects alone, so identity is read from them and from nothing else."""

from rimward.wire.lanes import Epoch, Lane


def up_subject(region: str, lane: Lane) -> str:
    """Return where a lane's envelopes go."""
    return f"up.{region}.{lane.node}.{lane.epoch}.{lane.fact}"


def parse_up(subject: str) -> tuple[str, Lane]:
    """Return the region and lane of an upload's subject.

    Raises:
        ValueError: it is not one.
    """
    tokens = subject.split(".")
    if len(tokens) != 5 or tokens[0] != "up":
        raise ValueError(f"{subject!r} is not up.<region>.<node>.<epoch>.<fact>")
    return tokens[1], Lane(tokens[2], Epoch.parse(tokens[3]), tokens[4])


def marks_subject(node: str) -> str:
    """Return where a node hears how far the lake has come."""
    return f"_INBOX_{node}.marks"
