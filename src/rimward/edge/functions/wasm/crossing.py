"""What crosses into a component and out of it again, as JSON; the words are those of edge.wit."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from rimward.app import Reply
from rimward.app.device import Device
from rimward.app.effects import Effects, check_topic, checked
from rimward.edge.functions.calls import ForeignError
from rimward.events import Reject


class Request(Struct):
    """One call."""

    function: str
    now: int  # the node's wall clock, ns since the epoch
    arguments: dict[str, Any]


class _Sent(Struct, forbid_unknown_fields=True):
    topic: str
    json: msgspec.Raw = msgspec.Raw()
    text: str = ""
    base64: bytes = b""
    qos: int = 0
    retain: bool = False


class _Fact(Struct, forbid_unknown_fields=True):
    fact: str
    row: msgspec.Raw


class _Refusal(Struct, forbid_unknown_fields=True):
    code: str
    detail: str = ""


class _Raised(Struct, forbid_unknown_fields=True):
    type: str
    text: str = ""
    place: str = "?"


class Result(Struct, forbid_unknown_fields=True):
    """What a call returned and leaves."""

    json: Any = UNSET
    text: str | UnsetType = UNSET
    base64: bytes | UnsetType = UNSET
    status: int | None = None
    headers: dict[str, str] = {}
    publish: list[_Sent] = []
    forward: list[_Fact] = []
    reject: _Refusal | None = None
    error: _Raised | None = None


_decode = msgspec.json.Decoder(Result).decode


def _plain(value: Any) -> Any:
    """Return what JSON has no word for as something that it has one for."""
    if isinstance(value, Device):
        return {"id": value.id, "user": value.user, "protocol": value.protocol}
    raise TypeError(f"{type(value).__name__} can't be written as JSON")


encode: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=_plain).encode


def read(text: str) -> Result:
    """Return a call's result.

    Raises:
        ForeignError: it is none.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ForeignError("TypeError", f"the component's result is none: {error}", "?") from None


def take(result: Result, effects: Effects, facts: dict[str, type[Struct]]) -> Any:
    """Hold what a call leaves and return its reply; `facts` are the app's types by name.

    Raises:
        ForeignError: it says that it failed, or leaves what is not of its kind.
        Reject: it refuses its message.
    """
    if result.reject is not None:
        raise _rejected(result.reject)
    if result.error is not None:
        raise ForeignError(result.error.type, result.error.text, result.error.place)
    actions = effects.actions
    assert actions is not None
    for sent in result.publish:
        if sent.topic not in checked:
            check_topic(sent.topic)
        payload = bytes(sent.json) or sent.text.encode() or sent.base64
        actions.append((sent.topic, payload, sent.qos, sent.retain))
    for fact in result.forward:
        type_ = facts.get(fact.fact)
        if type_ is None:
            raise ForeignError("TypeError", f"forward: the app has no fact {fact.fact!r}", "?")
        effects.forward(msgspec.json.decode(fact.row, type=type_))
    return _reply(result)


def _rejected(refusal: _Refusal) -> Exception:
    try:
        return Reject(refusal.code, refusal.detail)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] (it raises for one that is none)
    except ValueError as error:
        return ForeignError("ValueError", str(error), "?")


def _reply(result: Result) -> Any:
    value: Any = None
    for one in (result.json, result.text, result.base64):
        if one is not UNSET:
            value = one
    if result.status is None and not result.headers:
        return value
    return Reply(value, status=result.status, headers=result.headers)
