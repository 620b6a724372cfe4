"""A function made ready in the zygote: how a worker fills its parameters and writes what it returns."""

from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec import Struct

from rimward.app import App, Reply
from rimward.app.device import CommandPort, Device
from rimward.app.functions import EdgeFunction
from rimward.app.plan import Parameter
from rimward.app.state import State, StateCells, States, StateType
from rimward.events import CloudEvent
from rimward.wire.functions import BYTES, EMPTY, EVENT, TEXT, WRITTEN, Answer, Ask, Form

Filler = Callable[[Ask], Any]
_AS_THEY_ARE = frozenset({str, int, float, bool})
_ENCODE: dict[Form, Callable[[Any], bytes]] = {
    "json": msgspec.json.Encoder().encode,
    "msgpack": msgspec.msgpack.Encoder().encode,
}
_NOTHING = Answer(EMPTY)


class Prepared:
    """One function of the app."""

    def __init__(self, app: App, function: EdgeFunction) -> None:
        self.name: str = function.name
        self.call: Callable[..., Any] = function.plan.function
        self.is_async: bool = function.plan.is_async
        self.timeout: float | None = function.timeout
        self.parameters: tuple[Parameter, ...] = function.plan.parameters
        self.decode: dict[Form, Callable[[bytes], Any]] = _decoders(function.plan.payload)
        self.config: type[Struct] | None = app.config if function.plan.takes("config") else None
        self.states: dict[type[Struct], StateType[Any]] = app.states

    def filling(
        self, settings: Any, cells: Callable[[StateType[Any]], StateCells], port: CommandPort
    ) -> "Filling":
        """Return what fills its parameters in one worker."""
        return Filling(self, settings, cells, port)


class Filling:
    """Fills the parameters of one function, call by call."""

    def __init__(
        self,
        prepared: Prepared,
        settings: Any,
        cells: Callable[[StateType[Any]], StateCells],
        port: CommandPort,
    ) -> None:
        self._decode = prepared.decode
        self._cells = cells
        self._port = port
        self._settings = settings
        self._states = prepared.states
        self._slots = 0
        self._given = 0
        self._fillers: list[Filler | None] = [
            self._filler(one) for one in prepared.parameters
        ]  # None: a State
        self._plain = all(
            one.kind == "payload" or (one.kind == "capture" and one.type in _AS_THEY_ARE)
            for one in prepared.parameters
        )
        kinds = [one.kind for one in prepared.parameters]
        self._payload_at = kinds.index("payload") if "payload" in kinds else -1
        self._types = [prepared.states[one.type] for one in prepared.parameters if one.kind == "state"]

    def arguments(self, ask: Ask) -> tuple[list[Any], list[State[Any]]]:
        """Return a call's arguments, and among them its holds on cells."""
        if self._plain:
            if self._payload_at >= 0:
                ask.arguments.insert(self._payload_at, self._payload(ask))
            return ask.arguments, []
        handles: list[State[Any]] = []
        arguments: list[Any] = []
        for filler in self._fillers:
            if filler is None:
                type_, (key, value) = self._types[len(handles)], ask.states[len(handles)]
                handle = State(type_, key, type_.form.read(value))
                handles.append(handle)
                arguments.append(handle)
            else:
                arguments.append(filler(ask))
        return arguments, handles

    def _filler(self, parameter: Parameter) -> Filler | None:  # noqa: PLR0911 (one way out for each kind)
        kind, type_ = parameter.kind, parameter.type
        if kind in {"capture", "query"}:
            at, self._given = self._given, self._given + 1
            if type_ in _AS_THEY_ARE:
                return lambda ask: ask.arguments[at]
            return lambda ask: _converted(ask.arguments[at], type_)
        if kind == "state":
            return None
        if kind == "event":
            return lambda ask: ask.event
        if kind == "device":
            return self._device
        if kind == "states":
            state = self._states[type_]
            return lambda _: States(state, self._cells(state))
        if kind == "config":
            return lambda _: self._settings
        return self._payload

    def _payload(self, ask: Ask) -> Any:
        return None if ask.payload is None else self._decode[ask.form](ask.payload)

    def _device(self, ask: Ask) -> Device:
        assert ask.device is not None
        return Device(*ask.device, self._port)


def prepare(app: App) -> dict[str, Prepared]:
    """Return every function at the edge, ready, by name."""
    return {function.name: Prepared(app, function) for function in app.edge_functions}


def answer_of(value: Any, written: Form) -> Answer:
    """Return what a function returned as it goes to the node.

    Raises:
        TypeError: it can't be written.
    """
    if value is None:
        return _NOTHING
    if isinstance(value, Reply):
        reply = cast("Reply[Any]", value)
        inner = answer_of(reply.value, written)
        return Answer(inner.kind, inner.body, reply.status, dict(reply.headers))
    if isinstance(value, CloudEvent):
        return Answer(EVENT, msgspec.msgpack.encode(value))
    if isinstance(value, bytes):
        return Answer(BYTES, value)
    if isinstance(value, str):
        return Answer(TEXT, value.encode())
    return Answer(WRITTEN, _ENCODE[written](value))


def _decoders(type_: Any) -> dict[Form, Callable[[bytes], Any]]:
    if type_ is None:
        return {}
    if type_ is bytes:
        return {"json": bytes, "msgpack": bytes}
    if type_ is str:
        return {"json": bytes.decode, "msgpack": bytes.decode}
    return {"json": msgspec.json.Decoder(type_).decode, "msgpack": msgspec.msgpack.Decoder(type_).decode}


def _converted(value: Any, type_: Any) -> Any:
    return None if value is None else msgspec.convert(value, type_, strict=False)
