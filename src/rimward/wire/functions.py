"""What a node's I/O process, the zygote and the workers of functions say to each other.

Frames are msgpack behind their length in four bytes, big-endian. A worker gets `Begin` once and then `Ask`s,
any number of which may be on their way; it answers each with `Ended`. What goes to a worker and comes from it
travels in batches, a list of messages a frame, for many small ones are encoded and decoded in one go at a
fifth of the cost. The zygote gets `Fork`s, each with the worker's end of a socket and the page in which it
says what it works on (`MARK`).
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from rimward.events import CloudEvent, Event, RimwardError

LENGTH = 4  # bytes in front of each frame
MAX_FRAME = 64 << 20  # bytes; a longer one is a fault of who sent it
MARK = 16  # bytes of the page: the number of the call that runs, 0 for none, and since when, monotonic ns
_BARE = 64  # bytes of a call beside its payload and its states
EMPTY, BYTES, TEXT, WRITTEN, EVENT = range(5)  # kinds of an answer
Form = Literal["json", "msgpack"]


class Confined(Struct, frozen=True):
    """What the worker of one function may do, in the end."""

    network: bool = False
    read: tuple[str, ...] = ()  # paths beside those of the interpreter, the system's libraries and the app
    write: tuple[str, ...] = ()  # paths
    hidden: tuple[str, ...] = ()  # paths that are in none of these, wherever they lie: the node's own data
    environment: dict[str, str] = {}
    memory: int = 512 << 20  # bytes that it may make its own
    cpu: float | None = None  # seconds of CPU time that one call may take
    processes: int = 0  # that it may start
    mapped: int = 0  # bytes of address space that are reserved and never filled, beside its memory


class Caged(Struct, frozen=True):
    """Where a worker's function is that runs in WebAssembly, and what it may take."""

    path: str  # of the compiled component
    memory: int  # bytes
    limit: int  # ns of one call


class Begin(Struct, frozen=True):
    """What a worker is for."""

    function: str
    confined: Confined
    settings: bytes | None = None  # of the app, msgpack, where the function takes them
    caged: Caged | None = None


class Ask(Struct, array_like=True, gc=False, tag=1):
    """One call."""

    number: int
    payload: bytes | None  # None where the function takes none
    form: Form  # of the payload, unless the function takes bytes or text
    arguments: list[Any]  # of captures and the query, in the order of the parameters
    states: list[tuple[str, bytes]]  # each State's key and value, msgpack
    offset: int  # ns from the monotonic clock to the node's wall clock
    written: Form  # of the answer, unless it is bytes or text
    event: Event | None = None
    device: tuple[str, str | None, str] | None = None  # id, user, protocol


def weight(ask: Ask) -> int:
    """Return about how many bytes a call takes on its way."""
    size = _BARE if ask.payload is None else _BARE + len(ask.payload)
    return size + sum(len(value) for _, value in ask.states) if ask.states else size


class Answer(Struct, array_like=True, gc=False):
    """What a function returned."""

    kind: int  # EMPTY, BYTES, TEXT, WRITTEN or EVENT
    body: bytes = b""
    status: int | None = None
    headers: dict[str, str] | None = None  # None: it was no `Reply`


class Failure(Struct, array_like=True, gc=False):
    """What a function raised."""

    name: str  # of the type
    text: str
    place: str  # file:line
    reject: str | None = None  # the code of a `Reject`, whose detail is the text
    stopped: bool = False  # its time was over, and its worker goes on


class Timer(Struct, array_like=True, gc=False):
    """A timer asked for, or cancelled, by a state."""

    slot: int  # which State of the call
    function: str
    delay: float | None  # seconds; None: it is cancelled
    restart: bool = False


class Left(Struct, array_like=True, gc=False):
    """What a call leaves when it has returned."""

    actions: list[tuple[str, bytes, int, bool]] = []
    events: dict[int, CloudEvent] = {}  # of those actions that are one, by their place
    rows: list[tuple[str, list[Any]]] = []  # table and values
    states: list[bytes | None] = []  # new values by slot, msgpack; None: unchanged
    timers: list[Timer] = []


class Ended(Struct, array_like=True, gc=False, tag=1):
    """A call has ended."""

    number: int
    own: int  # ns that the function itself took
    left: Left | None = None
    answer: Answer | None = None
    failure: Failure | None = None


class Command(Struct, array_like=True, gc=False, tag=2):
    """A call asks for a command to its device; it leaves at once."""

    number: int  # of the call
    command: int  # of the command, among the worker's
    name: str
    payload: bytes
    allowed: float  # seconds


class Look(Struct, array_like=True, gc=False, tag=3):
    """A call reads the committed values of a state: of one key, or of all, some at a time."""

    number: int
    state: str  # its name
    key: str | None = None
    reading: int = 0  # of all: which reading of the call it is that goes on


class Told(Struct, array_like=True, gc=False, tag=2):
    """The acknowledgement of a command, or why there is none."""

    command: int
    body: bytes = b""
    form: Form | None = "json"  # None: it can't be read as a value
    error: str | None = None  # "command-timeout", "not-connected" or "error"
    detail: str = ""


class Seen(Struct, array_like=True, gc=False, tag=3):
    """The values that were looked for, msgpack."""

    number: int
    values: dict[str, bytes]
    more: bool = False  # there are others
    error: str | None = None  # why they can't be read


class Enforced(Struct, frozen=True):
    """What this machine enforces of a confinement, by part; empty text: all of it, else why not."""

    files: str = ""
    network: str = ""
    processes: str = ""
    memory: str = ""
    signals: str = ""
    by: tuple[str, ...] = ()  # the mechanisms that are there, such as "landlock 7"


class Open(Struct, array_like=True, frozen=True, tag=1):
    """The node's first word to the zygote."""

    app: str
    preload: bool  # the app is loaded at once, for there are workers to come
    hidden: tuple[str, ...] = ()  # paths that no worker may read


class Fork(Struct, array_like=True, frozen=True, tag=2):
    """Make a worker; its socket and its page come with it."""

    number: int
    memory: int  # bytes; for its cgroup
    processes: int  # that it may start
    threads: int = 64  # that it may have


class Kill(Struct, array_like=True, frozen=True, tag=3):
    """End a worker at once."""

    number: int


class Born(Struct, array_like=True, frozen=True, tag=1):
    """A worker is there."""

    number: int
    pid: int


class Died(Struct, array_like=True, frozen=True, tag=2):
    """A worker has ended, or could not be made."""

    number: int
    status: int  # exit code, negative for a signal
    text: str = ""


class Here(Struct, array_like=True, frozen=True, tag=3):
    """The zygote's first word."""

    pid: int
    enforced: Enforced


ToZygote = Open | Fork | Kill
FromZygote = Born | Died | Here
ToWorker = Ask | Told | Seen
FromWorker = Ended | Command | Look


class Caller(Protocol):
    """Who hears what becomes of a call."""

    def ended(self, ended: Ended) -> None:
        """It has returned, or raised."""
        ...

    def died(self, error: RimwardError) -> None:
        """It will never end: nothing of it is kept."""
        ...

    def command(self, command: Command, tell: Callable[[Told], None]) -> None:
        """It asks for a command to its device."""
        ...

    def look(self, look: Look) -> Seen:
        """It reads committed values."""
        ...


def framed(encoder: msgspec.msgpack.Encoder, message: object) -> bytearray:
    """Return a message, or a batch of them, as a frame."""
    buffer = bytearray(LENGTH)
    encoder.encode_into(message, buffer, LENGTH)
    buffer[:LENGTH] = (len(buffer) - LENGTH).to_bytes(LENGTH, "big")
    return buffer


class FrameError(ValueError):
    """A frame is longer than any may be."""


class Frames:
    """Bytes in, whole frames out."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> Iterator[memoryview]:
        """Yield the frames that the bytes completed.

        Raises:
            FrameError: one is too long.
        """
        if self._rest:
            data = self._rest + data
        whole, at, size = memoryview(data), 0, len(data)
        while size - at >= LENGTH:
            end = at + LENGTH + int.from_bytes(whole[at : at + LENGTH], "big")
            if end > size:
                if end - at > MAX_FRAME:
                    raise FrameError(f"a frame of {end - at} bytes, the limit is {MAX_FRAME}")
                break
            yield whole[at + LENGTH : end]
            at = end
        self._rest = data[at:]
