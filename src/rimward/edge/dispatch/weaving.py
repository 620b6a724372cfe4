"""Weaving: a stream's declared steps become the operators of one key."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from rimward.app.flowing import Unknown, fields_of, in_types, of_items, out_type
from rimward.app.functions import StreamDeclaration, time_field
from rimward.app.steps import (
    Change,
    Deadband,
    Debounce,
    Dedupe,
    Enrich,
    Ewma,
    Filter,
    FlatMap,
    Geofence,
    Hampel,
    Map,
    Meet,
    Ordered,
    Sample,
    Step,
    Throttle,
    Window,
)
from rimward.app.stream import Stream
from rimward.events import to_ns
from rimward.streams import (
    AggFold,
    ApplyFold,
    Aside,
    AsOf,
    Chain,
    Codec,
    Counting,
    Fences,
    Followed,
    Joined,
    LastFold,
    Line,
    Near,
    NotFollowed,
    Operator,
    Pair,
    Polygon,
    Polygons,
    Sessions,
    Sliding,
    Tumbling,
    Windowed,
    getter,
    operators,
)

Names = tuple[str, ...]  # what a key is made of
Make = Callable[[Names], Operator]
FindState = Callable[[type[Struct]], Callable[[str], Struct | None]]
STATELESS = (Filter, Map, FlatMap, Enrich)


class Weaver:
    """Makes the chain of a key; what all keys share is made once."""

    def __init__(
        self, declaration: StreamDeclaration, aside: Aside, find: FindState, behind: tuple[int, ...] = ()
    ) -> None:
        """`behind` is by how much each source's values come later than those of the promptest one, ns."""
        self._declaration = declaration
        self._behind = behind or (0,) * len(declaration.triggers)
        self._payloads = declaration.payloads
        self._keys = declaration.stream.keys
        self._aside = aside
        self._find = find
        self._weave = self._woven(declaration.stream, declaration.result)
        self.stateful: bool = not all(isinstance(step, STATELESS) for step in declaration.stream.steps)

    def chain(self, names: Names) -> Chain:
        """Return a new key's chain."""
        return self._weave(names)

    def _woven(self, stream: Stream[Any], said: Any = Unknown) -> Callable[[Names], Chain]:
        steps = stream.steps
        aside, types = self._aside, in_types(stream, self._payloads, said)
        meet = steps[0] if steps and isinstance(steps[0], Meet) else None
        own = list(zip(steps, types[:-1], strict=True))[1 if meet is not None else 0 :]
        makes = [self._make(step, type_, stream) for step, type_ in own]
        labels = _labels([step for step, _ in own])
        if meet is None:
            behind = self._behind[stream.source]
            return lambda names: Line(
                [make(names) for make in makes], aside, stream.source, labels, behind=behind
            )
        left, right, pair = self._woven(meet.left), self._woven(meet.right), self._pair(meet)

        def joined(names: Names) -> Chain:
            after = Line([make(names) for make in makes], aside, stream.source, labels)
            return Joined(left(names), right(names), pair(), after, aside)

        return joined

    def _pair(self, meet: Meet) -> Callable[[], Pair]:
        sides = out_type(meet.left, self._payloads), out_type(meet.right, self._payloads)
        codecs, aside = (codec_of(sides[0]), codec_of(sides[1])), self._aside
        within, lateness, combine = meet.within, meet.lateness, meet.combine
        if meet.kind == "not_followed_by":
            assert within is not None
            return partial(NotFollowed, within, lateness, aside, codecs)
        assert combine is not None
        if meet.kind == "asof":
            return partial(AsOf, within, lateness, combine, aside, codecs)
        assert within is not None
        return partial(Near if meet.kind == "join" else Followed, within, lateness, combine, aside, codecs)

    def _make(self, step: Step, type_: Any, stream: Stream[Any]) -> Make:  # noqa: PLR0911 (one way out for each kind)
        match step:
            case Enrich():
                return self._enrich(step)
            case Filter():
                return lambda _: operators.Filter(step.test)
            case Map():
                return lambda _: operators.Map(step.change)
            case FlatMap():
                time = partial(time_in, time_field(self._declaration.triggers[stream.source]))
                return lambda _: operators.FlatMap(step.open, time, self._aside)
            case Window() | Sample():
                return self._windows(step, type_)
            case Geofence():
                polygons = Polygons({name: Polygon(rings) for name, rings in step.polygons.items()})
                x, y = getter(step.x), getter(step.y)
                return lambda _: Fences(polygons, x, y, step.dwell, self._aside)
            case _:
                return _plain(step, type_, self._aside)

    def _enrich(self, step: Enrich) -> Make:
        table, combine = step.table, step.combine
        find: Callable[[Any], Any]
        if isinstance(table, type):
            state = self._find(table)
            find = lambda key: state(str(key))  # noqa: E731 (the other branch is a method)
        else:
            find = table.get
        if step.on in self._keys:
            at = self._keys.index(step.on)
            return lambda names: operators.Map(lambda value: combine(value, find(names[at])))
        get = attrgetter(step.on)
        return lambda _: operators.Map(lambda value: combine(value, find(get(value))))

    def _windows(self, step: Window | Sample, type_: Any) -> Make:
        aside = self._aside
        if isinstance(step, Sample):
            last = LastFold(codec_of(type_))
            return lambda _: Windowed(
                Tumbling(step.period, step.lateness, last), step.lateness, aside, lambda value: value
            )
        fold = _fold(step, type_)

        def make(names: Names) -> Operator:
            finish = self._finish(step, names)
            return Windowed(
                _windows_of(step, fold), step.lateness, aside, finish, numbered=step.kind == "count"
            )

        return make

    def _finish(self, step: Window, names: Names) -> Callable[[Any], Any]:
        result = step.result
        if result is None:
            return lambda value: value
        named = {name for name, _, _ in step.fields}
        filled = {
            key: text
            for key, text in zip(self._keys, names, strict=True)
            if key in result.__struct_fields__ and key not in named
        }
        return lambda value: msgspec.convert(filled | value, result, strict=False)


def _plain(step: Step, type_: Any, aside: Aside) -> Make:  # noqa: PLR0911 (one way out for each kind)
    match step:
        case Deadband():
            get = getter(step.of)
            return lambda _: operators.Deadband(get, step.width)
        case Change() | Dedupe():
            get, codec = _fields(step.of, type_)
            if isinstance(step, Dedupe):
                return lambda _: operators.Dedupe(get, step.within, codec)
            return lambda _: operators.Change(get, codec)
        case Throttle():
            return lambda _: operators.Throttle(step.period)
        case Debounce():
            codec = codec_of(type_)
            return lambda _: operators.Debounce(step.quiet, aside, codec)
        case Ordered():
            codec = codec_of(type_)
            return lambda _: operators.Ordered(step.lateness, aside, codec)
        case Ewma():
            get = getter(step.of)
            return lambda _: operators.Ewma(get, step.alpha, step.warm)
        case Hampel():
            get = getter(step.of)
            return lambda _: operators.Hampel(get, step.size)
        case _:
            raise AssertionError(step)


def _windows_of(step: Window, fold: Any) -> Any:
    match step.kind:
        case "tumbling":
            return Tumbling(step.size, step.lateness, fold)
        case "sliding":
            return Sliding(step.size, step.step, step.lateness, fold)
        case "session":
            return Sessions(step.size, step.lateness, fold)
        case "count":
            return Counting(step.size, step.step, fold)


def _fold(step: Window, type_: Any) -> Any:
    if step.apply is not None:
        codec = codec_of(of_items(step, type_))
        return ApplyFold(step.apply, encode=codec.encode, decode=codec.decode)
    types = fields_of(type_) or {}

    def decode(field: str, value: Any) -> Any:
        return msgspec.convert(value, types.get(field, Any))

    fields = {name: (source, how) for name, source, how in step.fields}
    return AggFold(fields, encode=msgspec.to_builtins, decode=decode)


def _fields(of: tuple[str, ...], type_: Any) -> tuple[Callable[[Any], Any], Codec]:
    """Return what reads fields of a value, one or several together, and how they are kept."""
    if not of:
        return getter(None), codec_of(type_)
    types = fields_of(type_) or {}
    kinds = [types.get(name, Any) for name in of]
    if len(of) == 1:
        return getter(of[0]), codec_of(kinds[0])
    return attrgetter(*of), codec_of(tuple.__class_getitem__(tuple(kinds)))


def codec_of(type_: Any) -> Codec:
    """Return how values of a type are kept; what is not known comes back as builtins."""
    wanted = Any if type_ is Unknown else type_

    def decode(value: Any) -> Any:
        return msgspec.convert(value, wanted)

    return Codec(msgspec.to_builtins, decode)


def _labels(steps: list[Step]) -> tuple[str, ...]:
    """Return names that tell steps apart, and a step from one that keeps another kind of state."""
    seen: dict[str, int] = {}
    labels: list[str] = []
    for step in steps:
        name = (
            f"{step.kind}.{step.size}.{step.step}"
            if isinstance(step, Window)
            else type(step).__name__.lower()
        )
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(labels)


def time_in(field: str | None, value: Any) -> int | None:
    """Return the time, ns, that a value has in a field; None where it has none with a zone."""
    moment = getattr(value, field, None) if field is not None else None
    return to_ns(moment) if isinstance(moment, datetime) and moment.tzinfo is not None else None
