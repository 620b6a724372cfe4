"""Bus subjects. The bus polices subjects alone, so identity is read from them and from nothing else."""

import re

from msgspec import Struct

from rimward.wire.lanes import SEQ_BITS, Epoch, Lane

PRIORITIES = ("critical", "normal", "bulk")  # each has a stream of its own; the most urgent first
_TOKEN = re.compile(r"[\w-]+")  # no separator, wildcard, space or slash can pass for part of a name
_RANGE = re.compile(r"([1-9][0-9]{0,12})-([1-9][0-9]{0,12})", re.ASCII)


class MessageId(Struct, frozen=True):
    """What an upload's id says: which rows it is meant to bring, and which attempt it is."""

    first: int
    last: int
    attempt: int


def stream(priority: str) -> str:
    """Return the name of a priority's stream; the hub creates it."""
    return f"UP_{priority.upper()}"


def stream_subject(region: str, priority: str) -> str:
    """Return what a priority's stream takes."""
    return f"up.{token(region)}.*.{token(priority)}.>"


def up_subject(region: str, priority: str, lane: Lane) -> str:
    """Return where a lane's envelopes go.

    Raises:
        ValueError: a name can't be part of a subject.
    """
    for name in (region, lane.node, priority, lane.fact):
        token(name)
    return f"up.{region}.{lane.node}.{priority}.{lane.epoch}.{lane.fact}"


def hello_subject(region: str, node: str) -> str:
    """Return where a node says hello; no stream takes it."""
    return f"up.{token(region)}.{token(node)}.hello"


def parse_up(subject: str) -> tuple[str, Lane]:
    """Return the region and lane of an upload's subject.

    Raises:
        ValueError: it is not one.
    """
    tokens = subject.split(".")
    if len(tokens) != 6 or tokens[0] != "up" or tokens[3] not in PRIORITIES:
        raise ValueError(f"{subject!r} is not up.<region>.<node>.<priority>.<epoch>.<fact>")
    return token(tokens[1]), Lane(token(tokens[2]), Epoch.parse(tokens[4]), token(tokens[5]))


def fact_subject(region: str, table: str) -> str:
    """Return where the hub tells of a fact's committed rows."""
    return f"facts.{token(region)}.{token(table)}"


def inbox_prefix(node: str) -> str:
    """Return what every subject that a node may listen to begins with."""
    return f"_INBOX_{token(node)}"


def marks_subject(node: str) -> str:
    """Return where a node hears how far the lake has come."""
    return f"{inbox_prefix(node)}.marks"


def message_id(lane: Lane, first: int, last: int, boot: str, attempt: int) -> str:
    """Return an upload's id; the attempt is in it, or the bus would swallow a deliberate repeat."""
    return f"{lane.epoch}.{lane.fact}.{first}-{last}.{boot}.{attempt}"


def parse_message_id(lane: Lane, text: str) -> MessageId:
    """Return what an id says of its upload: all that is known of one whose bytes can't be read.

    Raises:
        ValueError: it is not the id of an upload in this lane.
    """
    epoch, fact, rows, _, attempt = [*text.split("."), "", "", "", "", ""][:5]
    match = _RANGE.fullmatch(rows)
    if match is None or (epoch, fact) != (str(lane.epoch), lane.fact) or not attempt.isdecimal():
        raise ValueError(f"{text!r} is not the id of an upload of {lane.fact} in epoch {lane.epoch}")
    first, last = int(match[1]), int(match[2])
    if not first <= last < 1 << SEQ_BITS:
        raise ValueError(f"{text!r} names the rows {first} to {last}, which are no range")
    return MessageId(first, last, int(attempt))


def prior_text(version: int, nonce: int) -> str:
    """Return what an upload says of the epoch before, beside its bytes."""
    return f"{version}-{nonce:08x}"


def parse_prior(text: str) -> tuple[int, int]:
    """Return the transaction version and nonce of the epoch before; zeros where there is none.

    Raises:
        ValueError: it is neither.
    """
    if not text:
        return 0, 0
    match = re.fullmatch(r"([0-9]{1,19})-([0-9a-f]{8})", text, re.ASCII)
    if match is None or int(match[1]) >= 1 << 63:
        raise ValueError(f"{text!r} is no transaction version with a nonce")
    return int(match[1]), int(match[2], 16)


def token(name: str) -> str:
    """Return a name as part of a subject.

    Raises:
        ValueError: it can't be.
    """
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"{name!r} can't be part of a subject: letters, digits, _ and - can")
    return name
