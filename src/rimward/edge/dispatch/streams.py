"""Streams at run time: the declared steps as operators, a window per key, and what closes falls out."""

from datetime import datetime
from typing import Any, cast

import msgspec
from msgspec import Struct

from rimward.app.functions import StreamDeclaration
from rimward.app.stream import Filter, FlatMap, Map, Step, Window
from rimward.edge.dispatch.call import Origin
from rimward.edge.dispatch.encodings import typed_decoder
from rimward.edge.dispatch.functions import FunctionRun
from rimward.edge.dispatch.payloads import BadPayloadError, Decode, decode, decoder_for
from rimward.edge.dispatch.work import Work
from rimward.events import to_ns
from rimward.streams import AggFold, ApplyFold, Closed, Tumbling

MAX_KEYS = 100_000  # windows of one stream; a key beyond it is refused


class Emitted(Struct):
    """One value that left a stream."""

    value: Any
    start: int | None  # ns; None without windows
    end: int | None

    def source(self, work: Work, key: str) -> "_Source":
        """Return where the value's row comes from."""
        return _Source(work, key, self)


class _Source:
    __slots__ = ("_emitted", "_key", "_work")

    def __init__(self, work: Work, key: str, emitted: Emitted) -> None:
        self._work = work
        self._key = key
        self._emitted = emitted

    def origin(self) -> Origin:
        origin = self._work.origin()
        if self._emitted.end is None:
            return origin
        event = f"{self._key}/{self._emitted.start}"
        return Origin(event, origin.received, self._emitted.end, origin.trace, origin.mono)


class _Key:
    """One key's windows and the two clocks of its device."""

    __slots__ = ("arrived", "latest", "names", "operator")

    def __init__(self, operator: Tumbling[Any], names: tuple[str, ...]) -> None:
        self.operator = operator
        self.names = names
        self.latest = 0  # event time of the newest event, ns
        self.arrived = 0  # monotonic ns at which it came


class StreamRun:
    """One stream of the app, with the windows of all its keys."""

    def __init__(
        self, declaration: StreamDeclaration, followers: list[FunctionRun], stored: dict[str, bytes]
    ) -> None:
        self.declaration = declaration
        self.name: str = declaration.name
        self.followers = followers
        self.errors = 0
        self._decode = decoder_for(declaration.payload)
        self._decoders: dict[str, Decode] = {}  # by encoding, made when one is met
        self._time = declaration.trigger.time
        steps = declaration.stream.steps
        at = next((index for index, step in enumerate(steps) if isinstance(step, Window)), len(steps))
        self._before, self._after = steps[:at], steps[at + 1 :]
        window = steps[at] if at < len(steps) else None
        self._window = window if isinstance(window, Window) else None
        self.windowed: bool = self._window is not None
        self._keys: dict[str, _Key] = {}
        for text, snapshot in stored.items():
            self._restore(text, snapshot)

    @property
    def late(self) -> int:
        """Events that came after their window was closed."""
        return sum(key.operator.late for key in self._keys.values())

    @property
    def keys(self) -> list[str]:
        """The keys that have windows."""
        return list(self._keys)

    def feed(
        self,
        payload: bytes,
        captures: dict[str, str],
        now: int,
        received: int,
        content_type: str | None = None,
    ) -> tuple[str | None, list[Emitted]]:
        """Take one event; return its key and what fell out.

        Raises:
            BadPayloadError: the payload is not of the stream's type.
        """
        decoder = self._decode
        if content_type is not None and self.declaration.payload not in {bytes, str}:
            decoder = typed_decoder(self.declaration.payload, content_type, self._decoders)
        value = decode(decoder, payload)
        time = received
        if self._time is not None:
            moment = getattr(value, self._time, None)
            if getattr(moment, "tzinfo", None) is None:
                raise BadPayloadError(f"{self._time} is {moment!r}, it must be a time with its zone")
            time = to_ns(cast("datetime", moment))  # it has a zone
        names = tuple(
            str(captures[key] if key in captures else getattr(value, key))
            for key in self.declaration.stream.keys
        )
        values = _steps(self._before, value)
        if not values:
            return None, []
        text = "/".join(names)
        if self._window is None:
            return text, self._finish([Emitted(value, None, None) for value in values], names)
        key = self._keys.get(text) or self._new_key(text, names)
        closed: list[Closed[Any]] = []
        for one in values:
            at = self._time_of(one, time)
            closed += key.operator.insert(at, one, received)
            if at > key.latest:
                key.latest, key.arrived = at, now
        return text, self._closed(closed, key)

    def _time_of(self, value: Any, time: int) -> int:
        """Return a value's own time: an item of a batch may have one, others have the event's, ns."""
        moment = getattr(value, self._time, None) if self._time is not None else None
        return to_ns(moment) if isinstance(moment, datetime) and moment.tzinfo is not None else time

    def advance(self, now: int) -> list[tuple[str, list[Emitted]]]:
        """Close what is due where no event came: a silent device's clock is taken to go on like ours."""
        if self._window is None:
            return []
        due: list[tuple[str, list[Emitted]]] = []
        for text, key in self._keys.items():
            deadline = key.operator.deadline()
            if deadline is None:
                continue
            watermark = key.latest + (now - key.arrived) - self._window.lateness
            if key.arrived == 0:  # restored: its device has not been heard since
                key.arrived = now
            elif watermark >= deadline and (closed := key.operator.advance(watermark)):
                due.append((text, self._closed(closed, key)))
        return due

    def due(self) -> int | None:
        """Return the monotonic ns at which `advance` has something to do; None is never."""
        if self._window is None:
            return None
        moments: list[int] = []
        for key in self._keys.values():
            deadline = key.operator.deadline()
            if deadline is not None:
                wait = deadline + self._window.lateness - key.latest
                moments.append(key.arrived + wait if key.arrived else 0)
        return min(moments, default=None)

    def snapshot(self, text: str) -> bytes | None:
        """Return a key's open windows for the disk."""
        key = self._keys[text]
        return msgspec.msgpack.encode((key.names, key.latest, key.operator.snapshot()))

    def _restore(self, text: str, snapshot: bytes) -> None:
        if self._window is None:
            return
        names, latest, state = msgspec.msgpack.decode(snapshot, type=tuple[tuple[str, ...], int, Any])
        key = self._new_key(text, names)
        key.latest = latest
        key.operator.restore(state)

    def _new_key(self, text: str, names: tuple[str, ...]) -> _Key:
        if len(self._keys) >= MAX_KEYS:
            raise BadPayloadError(f"{self.name} has {MAX_KEYS} keys, the limit")
        key = self._keys[text] = _Key(self._operator(), names)
        return key

    def _operator(self) -> Tumbling[Any]:
        window = self._window
        assert window is not None
        if window.apply is not None:
            payload = self.declaration.payload
            fold: Any = ApplyFold(
                window.apply,
                encode=msgspec.to_builtins,
                decode=lambda value: msgspec.convert(value, payload),
            )
        else:
            fold = AggFold({name: (source, how) for name, source, how in window.fields})
        return Tumbling(window.size, window.lateness, fold)

    def _closed(self, closed: list[Closed[Any]], key: _Key) -> list[Emitted]:
        window = self._window
        assert window is not None
        values: list[Emitted] = []
        for item in closed:
            value: Any = item.value
            if window.result is not None:
                fields = window.result.__struct_fields__
                filled = {
                    name: text
                    for name, text in zip(self.declaration.stream.keys, key.names, strict=True)
                    if name in fields and name not in value
                }
                value = msgspec.convert(filled | value, window.result, strict=False)
            values.append(Emitted(value, item.start, item.end))
        return self._finish(values, key.names)

    def _finish(self, values: list[Emitted], names: tuple[str, ...]) -> list[Emitted]:
        finished: list[Emitted] = []
        for item in values:
            if self._window is not None and self._window.apply is not None:
                item.value = _fill_keys(item.value, self.declaration.stream.keys, names)
            finished += [Emitted(value, item.start, item.end) for value in _steps(self._after, item.value)]
        return finished


def _steps(steps: tuple[Step, ...], value: Any) -> list[Any]:
    """Return what becomes of a value: itself, changed, nothing, or the items of a batch."""
    values = [value]
    for step in steps:
        if isinstance(step, Filter):
            values = [one for one in values if step.test(one)]
        elif isinstance(step, Map):
            values = [step.change(one) for one in values]
        elif isinstance(step, FlatMap):
            values = [item for one in values for item in step.open(one)]
    return values


def _fill_keys(value: Struct, keys: tuple[str, ...], names: tuple[str, ...]) -> Any:
    fields = value.__struct_fields__ if isinstance(value, Struct) else ()  # pyright: ignore[reportUnnecessaryIsInstance] (a user's apply may return anything)
    filled: dict[str, str] = {key: name for key, name in zip(keys, names, strict=True) if key in fields}
    return msgspec.structs.replace(value, **filled) if filled else value
