"""What a node's CoAP functions look like to who asks `/.well-known/core`."""

from collections.abc import Iterable

from rimward.app.functions import EdgeFunction
from rimward.app.triggers import Coap, Pattern
from rimward.edge.dispatch.encodings import offers_for
from rimward.edge.gateways.coap.formats import number_of
from rimward.protocols.coap import Link

_FORMATS = {"json": "50", "cbor": "60", "text": "0"}


def links_of(functions: Iterable[EdgeFunction]) -> list[Link]:
    """Return a link for each path that functions serve.

    A capture stands as `%7Bname%7D`, for a link must be a valid reference: such a link is marked `templated`.
    """
    found: dict[str, list[EdgeFunction]] = {}
    for function in functions:
        if isinstance(function.trigger, Coap):
            found.setdefault(_target(function.trigger.pattern), []).append(function)
    return [Link(target, tuple(_attributes(serving))) for target, serving in found.items()]


def _target(pattern: Pattern) -> str:
    return "/" + pattern.text.replace("{", "%7B").replace("}", "%7D")


def _attributes(functions: list[EdgeFunction]) -> Iterable[tuple[str, str]]:
    methods = {_method(function): function for function in functions}
    yield "rt", " ".join(function.name for function in functions)
    yield "if", " ".join(method.lower() for method in methods)
    if (get := methods.get("GET")) is not None:
        if formats := _formats(get.plan.returns):
            yield "ct", formats
        yield "obs", ""
    if "%7B" in _target(_pattern(functions[0])):
        yield "templated", ""


def _formats(returns: object) -> str:
    """Return the numbers of what a GET's reply can be written as."""
    if returns is bytes:
        return str(number_of("application/octet-stream"))
    return " ".join(_FORMATS[one] for one in offers_for(returns) or () if one in _FORMATS)


def _method(function: EdgeFunction) -> str:
    assert isinstance(function.trigger, Coap)
    return function.trigger.method


def _pattern(function: EdgeFunction) -> Pattern:
    assert isinstance(function.trigger, Coap)
    return function.trigger.pattern
