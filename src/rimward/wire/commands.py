"""Commands from the cloud on their way down: a node asks for its own, by request-reply in its own inbox.

It says how far it has come; the hub answers with what follows, as much as one message may hold. A hint in its
inbox says that there is something new; nothing rests on it. What became of a command comes back as a row of
the lane `_result`.
"""

import msgspec
from msgspec import Struct

from rimward.wire.subjects import inbox_prefix, token

COMMANDS = 64  # in one answer
COMMANDS_BYTES = 256 << 10  # of their payloads in one answer; a single one fits alone


def commands_subject(region: str, node: str) -> str:
    """Return where a node asks for its commands; no stream takes it."""
    return f"up.{token(region)}.{token(node)}.commands"


def all_commands_subject(region: str) -> str:
    """Return where the hub hears every node of a region ask."""
    return f"up.{token(region)}.*.commands"


def hint_subject(node: str) -> str:
    """Return where a node hears that there is a new command for it."""
    return f"{inbox_prefix(node)}.commands"


def asking_node(subject: str) -> str:
    """Return the node that asks; the bus polices the subject, so it is that one.

    Raises:
        ValueError: the subject is none of a question for commands.
    """
    tokens = subject.split(".")
    if len(tokens) != 4 or (tokens[0], tokens[3]) != ("up", "commands"):
        raise ValueError(f"{subject!r} is not up.<region>.<node>.commands")
    return token(tokens[2])


class Command(Struct, frozen=True):
    """One command."""

    number: int  # grows with each command of the hub's store
    key: str  # two of one key are one
    device: str
    name: str
    payload: bytes
    created: int  # wall ns of the hub
    expires: int  # wall ns of the hub
    timeout: float  # seconds that the device has to acknowledge
    idempotent: bool


class Wanted(Struct, frozen=True):
    """A node's question."""

    store: str  # id of the store in which it remembers keys: another one after that was lost
    hub: str  # id of the hub's store that `last` counts in; empty: it knows none
    last: int  # the last number that it has
    room: int = COMMANDS  # commands that it can take

    def encode(self) -> bytes:
        """Return it as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Wanted":
        """Read one.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.msgpack.decode(data, type=cls)


class Commands(Struct, frozen=True):
    """The hub's answer; with it the node is reconciled: what the hub says from now on may be carried out."""

    hub: str  # id of the hub's store
    at: int  # wall ns of the hub
    commands: tuple[Command, ...] = ()
    more: bool = False  # ask again at once

    def encode(self) -> bytes:
        """Return it as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Commands":
        """Read one.

        Raises:
            ValueError: it has not the form.
        """
        return msgspec.msgpack.decode(data, type=cls)
