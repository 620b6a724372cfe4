"""What there is no room for now, in HTTP's words: 503 for the node, 429 for the caller, with Retry-After."""

from typing import TYPE_CHECKING

from rimward.edge.dispatch.types import Reply
from rimward.edge.gateways.http.entering import MQTT_PATH
from rimward.edge.gateways.http.problems import problem_reply
from rimward.protocols.http import HttpRequest

if TYPE_CHECKING:
    from rimward.edge.gateways.http.asking import Caller
    from rimward.edge.gateways.http.gateway import HttpGateway


def crowded(gateway: "HttpGateway", caller: "Caller", request: HttpRequest, now: int) -> Reply | None:
    """Return the answer to a request that is not taken now [RFC 9110 §15.6.4, RFC 6585 §4]."""
    if request.upgrade and request.path == MQTT_PATH:
        return None  # the MQTT gateway weighs each of its messages
    route = ("ws", "WS", request.path) if request.upgrade else ("http", request.method, request.path)
    found = gateway.admission.refuse(caller.sender.id, route, len(request.body), now)
    if found is None:
        return None
    after = {"retry-after": str(found.after)}
    return problem_reply(503 if found.busy else 429, found.detail, "busy", after)
