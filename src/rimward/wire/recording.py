"""The file of a recording: what came into a node and what its functions made of it, a JSON object a line.

The first line is `Begun`, the last `Ended`; where that is missing, the node or the disk stopped before its
time, and everything up to there is good. Each line stands alone, names what it is under `kind`, and can be
read while the file grows. A reader of a version reads the files of all before it (docs/howto/record.md).
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from rimward.events import RimwardError

VERSION = 1
TAG = "kind"


class RecordingError(RimwardError):
    """A file that is no recording, or one of a later version."""

    code = "recording"


class Body(Struct, frozen=True, omit_defaults=True):
    """Bytes: as text where they are UTF-8, else in base64; or that they were withheld, and how many."""

    text: str | None = None
    base64: bytes | None = None
    withheld: int | None = None  # bytes
    digest: str | None = None  # of what is withheld: sha256, 16 hexadecimal digits

    def read(self) -> bytes:
        """Return the bytes; nothing where they were withheld."""
        return self.text.encode() if self.text is not None else self.base64 or b""


class Begun(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="begun"):
    """The first line."""

    version: int
    app: str
    node: str
    at: int  # wall clock of the first moment, ns since the epoch, a whole µs
    boot: str  # what the ids of the node's events begin with
    events: int  # of the node's ids that were given away
    commands: int  # likewise, of the numbers of commands
    beats: dict[str, float] = {}  # functions at a steady beat, with their seconds
    labels: tuple[str, ...] = ()  # whose payloads are in here: the file may go nowhere where they may not
    redacted: tuple[str, ...] = ()  # fields whose values were replaced
    state: str = "kept"  # "kept", "withheld" for its labels, or "too large": then cells begin empty
    random: bytes = b""  # the state of Python's `random`: 625 numbers of 32 bits, little-endian
    gauss: float | None = None  # likewise


class Kept(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="state"):
    """A value that the node had when it began: a cell's, or a window's."""

    space: str
    key: str
    value: bytes  # msgpack, in base64


class Message(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="message"):
    """A message that a device published."""

    n: int  # what came, counted from 1: effects name it
    at: int  # ns after the beginning
    protocol: str
    sender: str
    topic: str
    qos: int
    payload: Body
    user: str | None = None
    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    traceparent: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()  # user properties, where they are a CloudEvent's


class Asked(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="request"):
    """A request over HTTP or CoAP, or a WebSocket's message."""

    n: int
    at: int
    protocol: str
    sender: str
    method: str
    path: str
    payload: Body
    query: str = ""
    headers: dict[str, str] = {}  # but for credentials
    user: str | None = None


class Beaten(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="beat"):
    """A function that ran at its beat."""

    n: int
    at: int
    function: str


class Clock(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="clock"):
    """What `app.now()` told the functions of one event, ns after the beginning."""

    of: int
    now: tuple[int, ...]


class Action(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="action"):
    """What a function published."""

    of: int  # the event; 0: of none, such as a window that closed by the clock
    topic: str
    payload: Body
    qos: int = 0
    retain: bool = False


class Command(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="command"):
    """What a function commanded a device to do."""

    of: int
    device: str
    name: str
    payload: Body


class Stored(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="fact"):
    """A fact that a function forwarded."""

    of: int
    fact: str  # its table
    values: dict[str, Any] | None = None  # by column; None: withheld


class Answered(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="reply"):
    """What an event was answered with, where there is more to it than that it was taken."""

    of: int
    status: int | None = None
    payload: Body | None = None
    content_type: str | None = None
    refused: str | None = None  # the kind of refusal
    detail: str | None = None  # None: there is none, or it was withheld


class Ended(Struct, frozen=True, omit_defaults=True, tag_field=TAG, tag="ended"):
    """The last line."""

    at: int  # ns after the beginning
    why: str  # "time", "bytes", "stopped" or "node": it stopped
    lines: int  # before this one
    withheld: int = 0  # events without their payload, which can't be replayed
    dropped: int = 0  # events that came faster than the disk took them, and are not here


Input = Message | Asked | Beaten
Effect = Action | Command | Stored | Answered
Line = Begun | Kept | Input | Clock | Effect | Ended

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def body(data: bytes) -> Body:
    """Return bytes as a body."""
    try:
        return Body(text=data.decode())
    except UnicodeDecodeError:
        return Body(base64=bytes(data))


def withheld(data: bytes) -> Body:
    """Return what may be told of bytes that are withheld."""
    return Body(withheld=len(data), digest=hashlib.sha256(data).hexdigest()[:16])


def encode(line: Line) -> bytes:
    """Return a line, with its end."""
    return _encoder.encode(line) + b"\n"


def decode(lines: Iterable[bytes]) -> Iterator[Line]:
    """Yield a file's lines; one that was cut off is the end.

    Raises:
        RecordingError: it is no recording, or one of a later version.
    """
    begun = False
    for number, text in enumerate(lines, 1):
        if not text.endswith(b"\n"):
            break
        try:
            line = _decoder.decode(text)
        except msgspec.DecodeError as error:
            raise RecordingError(f"line {number} is none of a recording: {error}{_later(text)}") from None
        if begun == isinstance(line, Begun):
            raise RecordingError(f"line {number}: a recording has one line 'begun', and it is the first")
        if isinstance(line, Begun) and line.version > VERSION:
            raise RecordingError(f"the recording is of version {line.version}, this Rimward reads {VERSION}")
        begun = True
        yield line
    if not begun:
        raise RecordingError("the file has no line of a recording")


def ended_of(tail: bytes) -> Ended | None:
    """Return the last line of a file that ends with these bytes; None where it has none yet."""
    last = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    try:
        line = _decoder.decode(last)
    except msgspec.DecodeError:
        return None
    return line if last.endswith(b"\n") and isinstance(line, Ended) else None


def _later(text: bytes) -> str:
    """Return what a line says of its version, where that is the reason that it can't be read."""
    try:
        version = msgspec.json.decode(text, type=dict[str, object]).get("version")
    except msgspec.DecodeError:
        return ""
    return f" (version {version}; this Rimward reads {VERSION})" if isinstance(version, int) else ""
