"""Bus subjects. The bus polices subjects alone, so identity is read from them and from nothing else."""

import re

from rimward.wire.lanes import Epoch, Lane

STREAM = "UP"  # the one stream of uploads; the hub creates it
_TOKEN = re.compile(r"[\w-]+")  # no separator, wildcard, space or slash can pass for part of a name


def up_subject(region: str, lane: Lane) -> str:
    """Return where a lane's envelopes go.

    Raises:
        ValueError: a name can't be part of a subject.
    """
    for name in (region, lane.node, lane.fact):
        _token(name)
    return f"up.{region}.{lane.node}.{lane.epoch}.{lane.fact}"


def parse_up(subject: str) -> tuple[str, Lane]:
    """Return the region and lane of an upload's subject.

    Raises:
        ValueError: it is not one.
    """
    tokens = subject.split(".")
    if len(tokens) != 5 or tokens[0] != "up":
        raise ValueError(f"{subject!r} is not up.<region>.<node>.<epoch>.<fact>")
    return _token(tokens[1]), Lane(_token(tokens[2]), Epoch.parse(tokens[3]), _token(tokens[4]))


def inbox_prefix(node: str) -> str:
    """Return what every subject that a node may listen to begins with."""
    return f"_INBOX_{_token(node)}"


def marks_subject(node: str) -> str:
    """Return where a node hears how far the lake has come."""
    return f"{inbox_prefix(node)}.marks"


def message_id(lane: Lane, first: int, last: int, boot: str, attempt: int) -> str:
    """Return an upload's id; the attempt is in it, or the bus would swallow a deliberate repeat."""
    return f"{lane.epoch}.{lane.fact}.{first}-{last}.{boot}.{attempt}"


def _token(name: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"{name!r} can't be part of a subject: letters, digits, _ and - can")
    return name
