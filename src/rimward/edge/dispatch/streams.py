"""Streams at run time: messages in, a chain of operators per key, and what falls out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec
from msgspec import Struct, structs

from rimward.app.flowing import Unknown
from rimward.app.functions import StreamDeclaration, time_field
from rimward.app.steps import Window
from rimward.edge.dispatch.call import Origin
from rimward.edge.dispatch.encodings import typed_decoder
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.keys import Ground, Key, Keys, Reviving
from rimward.edge.dispatch.payloads import BadPayloadError, Decode, decode, decoder_for
from rimward.edge.dispatch.weaving import Weaver
from rimward.edge.dispatch.work import Work
from rimward.events import to_ns
from rimward.streams import Aside, Item, Line
from rimward.streams.watermark import DAY

FORGET = 7 * DAY  # ns that a stream without keys keeps what it knows
MAX_AHEAD = DAY  # ns that an event's time may be after its receiving; one that is further is refused


class Emitted:
    """Where the row of an item comes from that a stream gave."""

    __slots__ = ("_item", "_name", "_work")

    def __init__(self, work: Work, name: str, item: Item) -> None:
        self._work = work
        self._name = name  # of the stream and its key
        self._item = item

    def origin(self) -> Origin:
        """Return it; an item that its key has made has a time and a name of its own."""
        origin = self._work.origin()
        time, _, mark = self._item
        if mark is not None:
            return Origin(f"{self._name}/{mark}", origin.received, time, origin.trace, origin.mono)
        if time == origin.received or origin.time is not None:
            return origin
        return Origin(origin.event, origin.received, time, origin.trace, origin.mono)


class StreamRun:
    """One stream of the app, with all its keys."""

    def __init__(
        self,
        declaration: StreamDeclaration,
        followers: list[FunctionRun],
        late_followers: list[FunctionRun],
        ground: Ground,
        before: Mapping[str, "StreamRun"],
        *,
        follows: bool = False,
    ) -> None:
        """Take a declaration and who follows it.

        `before` are the streams that it may take the values of, by their names; `follows`: another version
        of this one has its keys, until `follow`.
        """
        taken = [
            before[one.name] if isinstance(one, StreamDeclaration) else None for one in declaration.triggers
        ]
        delays = [0 if one is None else one.delay for one in taken]
        self.declaration = declaration
        self.name: str = declaration.name
        self.number: int = 0  # in the slot; set by the dispatcher
        self.followers = followers
        self.late_followers = late_followers
        self.errors: int = 0
        self.late: int = 0  # events that came too late
        self.ahead: int = 0  # events whose time was too far after their receiving
        self.full: int = 0  # events of keys that there was no room for
        self.drops: bool = declaration.on_full == "drop"  # what finds no room in the outbox
        self.dropped: int = 0  # values that were
        self.aside: Aside = Aside()
        self.behind: list[Tap] = []  # streams that take its values
        self.late_behind: list[Tap] = []  # and those that take what came too late for it
        behind = tuple(delay - min(delays) for delay in delays)
        self._weaver = Weaver(declaration, self.aside, ground.find_state, behind)
        names = ("",) * len(declaration.stream.keys)
        self.delay: int = min(delays) + self._weaver.chain(names).delay  # ns by which its values come later
        # A value that a stream behind others finds no room for can't come again: it waits with a key.
        self.stateful: bool = self._weaver.stateful or any(one is not None and one.stateful for one in taken)
        kept = declaration.stream.forget or FORGET
        result = Any if declaration.result is Unknown else declaration.result
        self._ground = ground
        self._reviving = Reviving(self._weaver.chain, kept, result, self._old)
        self.keys: Keys
        if not follows:
            self.keys = Keys(ground, self.name, self._reviving)
        self._next: StreamRun | None = None  # the version that has its keys now

    def follow(self, before: "StreamRun") -> None:
        """Take over the keys and the figures of the version that has run until now."""
        self.keys = Keys(self._ground, self.name, self._reviving, before.keys)
        self.errors, self.late, self.ahead, self.full = before.errors, before.late, before.ahead, before.full
        self.dropped = before.dropped
        self.aside.unfit = before.aside.unfit
        before._next = self

    def newest(self) -> "StreamRun":
        """Return the version that has the keys now."""
        return self if self._next is None else self._next.newest()

    def fits(self, items: Sequence[Item]) -> list[Item]:
        """Return items that another version has made, with values of this one's type."""
        held = self._reviving.held
        return [
            (time, msgspec.convert(msgspec.to_builtins(value), held), mark) for time, value, mark in items
        ]

    def take(self, key: Key, source: int, item: Item, received: int, now: int) -> Sequence[Item]:
        """Take an item of a key; return what falls out.

        Raises:
            Exception: what a user's function raises, or an operator that can't take the value.
        """
        time = item[0]
        if time - received > MAX_AHEAD:
            self.ahead += 1
            return ()
        clock = key.clock
        if clock is None or time > clock:
            key.clock, key.arrived = time, now
            clock = time
        chain, aside = key.chain, self.aside
        aside.until = received + MAX_AHEAD
        items = chain.insert(source, item)
        if chain.timed:
            due = chain.deadline()
            if due is not None and due <= clock:
                items = [*items, *chain.advance(clock)]
                due = chain.deadline()
            key.deadline = due
        if aside.ahead:
            self.ahead += aside.ahead
            aside.ahead = 0
        return items

    def pass_by(self, names: tuple[str, ...], source: int, item: Item) -> Sequence[Item]:
        """Take an item where nothing is kept of any; return what falls out."""
        return self._weaver.chain(names).insert(source, item)

    def finish(self, items: Sequence[Item], names: tuple[str, ...]) -> list[Item]:
        """Return what fell out with the key's names in those of its values' fields."""
        keys = self.declaration.stream.keys
        return [(time, fill_keys(value, keys, names), mark) for time, value, mark in items]

    def _old(self, windows: Any) -> Any:
        """Return a chain's snapshot of what a version before kept: the state of the one window."""
        chain = self._weaver.chain(("",) * len(self.declaration.stream.keys))
        steps = [step for step in self.declaration.stream.steps if isinstance(step, Window)]
        if not isinstance(chain, Line) or not steps:
            return {}
        return {f"{steps[0].kind}.{steps[0].size}.{steps[0].step}": [0, windows]}


class Inlet:
    """One trigger of a stream, and how its messages are read."""

    def __init__(self, stream: StreamRun, source: int) -> None:
        declaration = stream.declaration
        self.stream: StreamRun = stream
        self.source = source
        self._payload = declaration.payloads[source]
        self._time = time_field(declaration.triggers[source])
        self._keys = declaration.stream.keys
        self._decode = decoder_for(self._payload)
        self._decoders: dict[str, Decode] = {}  # by encoding, made when one is met

    def bind(self, captures: dict[str, str]) -> "BoundInlet":
        """Return it for a topic."""
        names = tuple(captures.get(key) for key in self._keys)
        return BoundInlet(self, cast("tuple[str, ...]", names) if None not in names else None, captures)

    def read(self, payload: bytes, content_type: str | None, received: int) -> tuple[Any, int]:
        """Return a message's value and its time, ns.

        Raises:
            BadPayloadError: it is not of the stream's type, or its time has no zone.
        """
        decoder = self._decode
        if content_type is not None and self._payload not in {bytes, str}:
            decoder = typed_decoder(self._payload, content_type, self._decoders)
        value = decode(decoder, payload)
        if self._time is None:
            return value, received
        moment = getattr(value, self._time, None)
        if getattr(moment, "tzinfo", None) is None:
            raise BadPayloadError(f"{self._time} is {moment!r}, it must be a time with its zone")
        return value, to_ns(cast("datetime", moment))  # it has a zone

    def names(self, value: Any, captures: dict[str, str]) -> tuple[str, ...]:
        """Return what the value's key is made of."""
        return tuple(str(captures[key] if key in captures else getattr(value, key)) for key in self._keys)


class BoundInlet:
    """An inlet with the captures of one topic; where they make the whole key, it is known already."""

    __slots__ = ("_captures", "_names", "inlet", "stream", "text")

    def __init__(self, inlet: Inlet, names: tuple[str, ...] | None, captures: dict[str, str]) -> None:
        self.inlet: Inlet = inlet
        self.stream: StreamRun = inlet.stream
        self._captures = captures
        self._names = names
        self.text: str | None = None if names is None else key_text(names)

    def key_of(self, value: Any) -> tuple[str, tuple[str, ...]]:
        """Return the key of a value, as text and in parts."""
        if self._names is not None:
            assert self.text is not None
            return self.text, self._names
        names = self.inlet.names(value, self._captures)
        return key_text(names), names


class Tap:
    """A stream's way to the values of another one."""

    __slots__ = ("_at", "_follows", "source", "stream")

    def __init__(self, stream: StreamRun, source: int, names: tuple[str, ...]) -> None:
        """`names` are the keys of the stream that it takes the values of."""
        keys = stream.declaration.stream.keys
        self.stream: StreamRun = stream
        self.source: int = source
        self._at = [(names.index(key) if key in names else None, key) for key in keys]
        self._follows = all(name in keys for name in names)

    def key_of(self, names: tuple[str, ...], value: Any) -> tuple[str, tuple[str, ...]]:
        """Return the key of a value that another key gave, as text and in parts."""
        own = tuple(str(getattr(value, key)) if at is None else names[at] for at, key in self._at)
        return key_text(own), own

    def item_of(self, names: tuple[str, ...], item: Item) -> Item:
        """Return an item that another key gave, told apart from those of all other keys."""
        time, value, mark = item
        return item if mark is None or self._follows else (time, value, f"{key_text(names)}.{mark}")


def key_text(names: tuple[str, ...]) -> str:
    """Return a key as one text; no other key has it."""
    if len(names) == 1:
        return names[0]
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)


def fill_keys(value: Any, keys: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """Return a value with the key's names in those of its fields that are named so and empty."""
    if not keys or not isinstance(value, Struct):
        return value
    filled: dict[str, str] = {
        key: name
        for key, name in zip(keys, names, strict=True)
        if key in value.__struct_fields__ and getattr(value, key) in ("", None)
    }
    return structs.replace(value, **filled) if filled else value
