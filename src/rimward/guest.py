"""What a module that runs in WebAssembly does beside returning: actions, facts and the clock.

This one file stands on the standard library alone, for it is also what a component is built with: there the
package `rimward` has no other module. A call's effects leave with its result, and none of them if it raises.
"""

import base64
import dataclasses
import datetime as dt
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

__all__ = ["Reject", "Reply", "forward", "now", "publish"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = (
    _decoder.scan_once
)  # what `json.loads` ends in: that is as long again on the way there
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class Reject(Exception):
    """Refuse the message in its caller's words: invalid, denied, not-found, conflict or busy."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Reply:
    """A reply with a status and header fields; see `rimward.Reply`."""

    def __init__(
        self, value: Any = None, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.value: Any = value
        self.status: int | None = status
        self.headers: dict[str, str] = headers or {}


_actions: list[dict[str, Any]] = []  # what the running call leaves
_facts: list[dict[str, Any]] = []
_now: list[int] = []  # ns since the epoch; empty where no call runs


def _check(verb: str) -> None:
    if not _now:
        raise RuntimeError(f"rimward.guest.{verb} was called outside a call")


def publish(topic: str, payload: Any = None, *, qos: int = 0, retain: bool = False) -> None:
    """Send an action to the topic's subscribers; it leaves when the call returns.

    Bytes and text go as they are, None as nothing, anything else as JSON.
    """
    _check("publish")
    action: dict[str, Any] = {"topic": topic}
    if payload is not None:
        _carry(payload, action)
    if qos:
        action["qos"] = qos
    if retain:
        action["retain"] = retain
    _actions.append(action)


def forward(fact: str, /, **fields: Any) -> None:
    """Send a fact of the app, by its name, to the cloud: exactly once, if the call returns."""
    _check("forward")
    _facts.append({"fact": fact, "row": fields})


def now() -> dt.datetime:
    """Return the node's clock when the call began."""
    _check("now")
    return _EPOCH + dt.timedelta(microseconds=_now[0] // 1000)


def _carry(value: Any, into: dict[str, Any]) -> None:
    """Put a value as it crosses into an object, by what it is to be read as."""
    if isinstance(value, str):
        into["text"] = value
    elif isinstance(value, bytes | bytearray):
        into["base64"] = base64.b64encode(value).decode()
    else:
        into["json"] = value


def _plain(value: Any) -> Any:
    """Return what JSON has no word for as something that it has one for."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


def _writer() -> Callable[[Any], str]:
    """Return what writes JSON: the machine below `json.dumps`, which makes that anew for each value."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    ascii_: Any = json.encoder.encode_basestring_ascii
    _encoder.default = _plain  # type: ignore[method-assign]
    if make is None:
        return _encoder.encode
    pieces = make(None, _plain, ascii_, None, ":", ",", False, False, False)
    return lambda value: "".join(pieces(value, 0))


_encode = _writer()


class Served:
    """The functions of one module, called by JSON: what a component exports is an instance of this."""

    def __init__(self, module: types.ModuleType) -> None:
        """Look at all of it now: a component is built with what is known then."""
        self._file = module.__file__ or module.__name__
        self._functions = {
            name: (function, _readers(function))
            for name, function in vars(module).items()
            if inspect.isfunction(function)
        }
        self._seeded = False

    def call(self, request: str) -> str:
        """Run the function that a request names; every way that it ends is in the answer."""
        if not self._seeded:
            _seed()
            self._seeded = True
        asked, _ = _scan(request, 0)
        _now.append(asked["now"])
        try:
            function, readers = self._functions[asked["function"]]
            arguments = asked["arguments"]
            for name, read in readers:
                arguments[name] = read(arguments[name])
            return _encode(_left(function(**arguments)))
        except Reject as reject:
            return _encode({"reject": {"code": reject.code, "detail": reject.detail}})
        except BaseException as error:  # noqa: BLE001 (a user's function may raise anything; the node tells it)
            told = {"type": type(error).__name__, "text": str(error), "place": self._place(error)}
            return _encode({"error": told})
        finally:
            _now.clear()
            if _actions:
                _actions.clear()
            if _facts:
                _facts.clear()

    def _place(self, error: BaseException) -> str:
        """Return the innermost line of the module that an error went through."""
        place, trace = "?", error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self._file:
                place = f"{self._file.rpartition('/')[2]}:{trace.tb_lineno}"
            trace = trace.tb_next
        return place


def _left(result: Any) -> dict[str, Any]:
    """Return a call's result and its effects."""
    left: dict[str, Any] = {}
    if type(result) is Reply:
        left["status"], left["headers"] = result.status, result.headers
        result = result.value
    if result is not None:
        _carry(result, left)
    if _actions:
        left["publish"] = _actions
    if _facts:
        left["forward"] = _facts
    return left


def _seed() -> None:
    """Make numbers random that would be the same in each copy of what was built."""
    if "random" in sys.modules:
        sys.modules["random"].seed()


def _readers(function: Callable[..., Any]) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return how those arguments are read that JSON does not have: bytes, times, dataclasses."""
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 (an annotation that means nothing here is no mistake)
        return []
    found = ((name, _reader(hint)) for name, hint in hints.items() if name != "return")
    return [(name, read) for name, read in found if read is not None]


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    if hint is bytes:
        return base64.b64decode
    if hint is dt.datetime:
        return _moment
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _of(hint)
    arguments = [one for one in typing.get_args(hint) if one is not type(None)]
    if typing.get_origin(hint) is list and arguments and (inner := _reader(arguments[0])) is not None:
        return lambda values: [inner(value) for value in values]
    if typing.get_origin(hint) in {typing.Union, types.UnionType} and len(arguments) == 1:
        some = _reader(arguments[0])
        return None if some is None else lambda value: None if value is None else some(value)
    return None


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _of(type_: type) -> Callable[[dict[str, Any]], Any]:
    """Return what makes a dataclass of an object; fields that it does not have are left out."""
    hints = typing.get_type_hints(type_)
    names = [one.name for one in dataclasses.fields(type_)]
    readers = [(name, inner) for name in names if (inner := _reader(hints[name])) is not None]
    known = frozenset(names)

    def read(values: dict[str, Any]) -> Any:
        for name, inner in readers:
            if name in values:
                values[name] = inner(values[name])
        if not values.keys() <= known:
            values = {name: value for name, value in values.items() if name in known}
        return type_(**values)

    return read


def serve(module: types.ModuleType) -> type:
    """Return what a component of a module exports."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] (it is a file's)
    return type("WitWorld", (), {"call": Served(module).call})
