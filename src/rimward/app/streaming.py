"""Streams put together: their functions run once, and what they say is checked against what they get."""

import datetime as dt
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from rimward.app.declared import StreamDeclared
from rimward.app.facts import Fact
from rimward.app.flowing import Unknown, check_flow, late_types, out_type
from rimward.app.functions import EdgeFunction, StreamDeclaration, names_given
from rimward.app.plan import hints_of
from rimward.app.problems import Problem, name_of
from rimward.app.state import StateType
from rimward.app.steps import Enrich, Meet
from rimward.app.stream import Stream, stream_argument
from rimward.app.triggers import Mqtt

States = Mapping[type[Struct], StateType[Any]]
Source = Mqtt | StreamDeclaration


def stream_declaration(
    one: StreamDeclared, sources: tuple[Source, ...], facts: Mapping[type[Struct], Fact], states: States
) -> StreamDeclaration:
    """Return what a stream's function declares; `sources` are what its triggers stand for.

    Raises:
        Problem: it takes or gives no stream, or a step makes no sense.
    """
    function, count = one.function, len(sources)
    hints = hints_of(function)
    payloads = tuple(stream_argument(hint) for name, hint in hints.items() if name != "return")
    if len(payloads) != count or None in payloads:
        wanted = "one Stream[T]" if count == 1 else f"a Stream[T] for each of its {count} triggers"
        raise Problem(
            f"{function.__name__} is a stream and does not take {wanted}",
            f"write def {function.__name__}(readings: Stream[Reading]) -> Stream[Minute]"
            if count == 1
            else f"write def {function.__name__}(readings: Stream[Reading], doors: Stream[Door]) -> "
            "Stream[Both]",
            at=function,
        )
    for payload, source in zip(payloads, sources, strict=True):
        if isinstance(source, Mqtt):
            check_time(function, payload, source)
        else:
            _check_taken(function, payload, source)
    declared = function(*(Stream(source=index) for index in range(count)))
    if not isinstance(declared, Stream):
        raise Problem(
            f"{function.__name__} returns {declared!r}, not a stream", "return the stream", at=function
        )
    stream = typing.cast("Stream[Any]", declared)
    for index in sorted(_sources(stream)):
        _check_keys(function, stream, sources[index], payloads[index])
    _check_tables(function, stream, states)
    said = stream_argument(hints.get("return"))
    check_flow(function, stream, payloads, Unknown if said is None else said)
    fact = _fact(function, stream, said, facts)
    _check_result(function, stream, payloads, said)
    return StreamDeclaration(
        function.__name__, sources, payloads, stream, fact, function, one.file, one.line,
        was=one.was, on_full=one.on_full, result=Unknown if said is None else said,
    )  # fmt: skip


def check_lead_somewhere(streams: Collection[StreamDeclaration], functions: Iterable[EdgeFunction]) -> None:
    """Refuse a stream whose values nobody gets.

    Raises:
        Problem: there is one.
    """
    triggers: list[Any] = [function.trigger for function in functions]
    triggers += [source for stream in streams for source in stream.triggers]
    followed = {one.name for one in triggers if isinstance(one, StreamDeclaration) and not one.late}
    for stream in streams:
        if not stream.stream.forwards and stream.name not in followed:
            raise Problem(
                f"the stream {stream.name} leads nowhere",
                "end it in .forward(), or use it as a trigger: @app.edge(" + stream.name + ")",
                at=stream.function,
            )


def check_time(function: Callable[..., Any], payload: Any, trigger: Mqtt) -> None:
    """Refuse `time="at"` where the payload has no such field, or one that is no time."""
    if trigger.time is None:
        return
    name = trigger.time
    structs = typing.get_args(payload) or (payload,)
    for struct in structs:
        if not (isinstance(struct, type) and issubclass(struct, Struct)):
            raise Problem(
                f"{function.__name__}: time={name!r} names a field, and the payload is no Struct",
                f"write a Struct with '{name}: datetime'",
                at=function,
            )
        hint = typing.get_type_hints(struct).get(name)
        if hint is not dt.datetime and dt.datetime not in typing.get_args(hint):
            raise Problem(
                f"{function.__name__}: time={name!r}, and {struct.__name__} has no field '{name}: datetime'",
                f"add '{name}: datetime' to {struct.__name__}",
                at=function,
            )


def _check_taken(function: Callable[..., Any], payload: Any, source: StreamDeclaration) -> None:
    """Refuse a stream that takes values of another type than the stream before it gives."""
    given: set[Any] = {source.result}
    if source.late:
        given = late_types(source.stream, source.payloads, source.result)
        if not given:
            raise Problem(
                f"{function.__name__} takes what is late for {source.name}, where nothing can be",
                f"take its values: @app.stream({source.name})",
                at=function,
            )
    known = [one for one in given if one is not Unknown]
    if len(known) == 1 and not _fits(known[0], payload):
        raise Problem(
            f"{function.__name__} takes Stream[{name_of(payload)}], and {source} gives {name_of(known[0])}",
            f"write Stream[{name_of(known[0])}]",
            at=function,
        )


def _fits(given: Any, wanted: Any) -> bool:
    """Tell whether a value of one type may be one of another, as far as that can be seen."""
    if isinstance(given, type) and isinstance(wanted, type):
        return issubclass(given, wanted)
    return given == wanted or wanted is Any or not isinstance(given, type) or bool(typing.get_args(wanted))


def _sources(stream: Stream[Any]) -> set[int]:
    """Return which triggers a stream begins with."""
    first = stream.steps[0] if stream.steps else None
    if isinstance(first, Meet):
        return _sources(first.left) | _sources(first.right)
    return {stream.source}


def _check_keys(function: Callable[..., Any], stream: Stream[Any], source: Source, payload: Any) -> None:
    names = names_given(source)
    fields: tuple[str, ...] = getattr(payload, "__struct_fields__", ())
    for key in stream.keys:
        if key in names or key in fields:
            continue
        if isinstance(source, Mqtt):
            raise Problem(
                f"{function.__name__} is keyed by {key!r}, neither a capture nor a field of the payload",
                f"write {{{key}}} in the topic",
                at=function,
            )
        raise Problem(
            f"{function.__name__} is keyed by {key!r}, neither a key of {source.name} "
            "nor a field of its values",
            f"the keys are {', '.join(names)}" if names else f"give {source.name} a key_by",
            at=function,
        )


def _check_tables(function: Callable[..., Any], stream: Stream[Any], states: States) -> None:
    for step in stream.steps:
        if isinstance(step, Meet):
            _check_tables(function, step.left, states)
            _check_tables(function, step.right, states)
        if isinstance(step, Enrich) and isinstance(step.table, type) and step.table not in states:
            raise Problem(
                f"{function.__name__}: enrich: {step.table.__name__} is not a state of this app",
                "declare it with @app.state, or give a dict",
                at=function,
            )


def _fact(
    function: Callable[..., Any], stream: Stream[Any], result: Any, facts: Mapping[type[Struct], Fact]
) -> Fact | None:
    if not stream.forwards:
        return None
    fact = facts.get(result) if isinstance(result, type) else None
    if fact is None:
        raise Problem(
            f"{function.__name__} forwards {name_of(result)}, which is not a fact",
            "declare it with @app.fact and say -> Stream[ThatFact]",
            at=function,
        )
    return fact


def _check_result(
    function: Callable[..., Any], stream: Stream[Any], payloads: tuple[Any, ...], said: Any
) -> None:
    """Refuse a stream that says it gives one type where its last step gives another."""
    given = out_type(stream, payloads)
    if given is Unknown or not isinstance(given, type) or not isinstance(said, type) or given is said:
        return
    if issubclass(given, said):
        return
    raise Problem(
        f"{function.__name__} says that it gives {name_of(said)}, and gives {name_of(given)}",
        f"write -> Stream[{name_of(given)}]",
        at=function,
    )
