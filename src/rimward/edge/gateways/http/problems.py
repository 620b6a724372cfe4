"""Refusals in HTTP's words: the table's status, told as problem+json (RFC 9457)."""

from rimward.edge.dispatch.types import Refusal, Reply
from rimward.events import REFUSALS
from rimward.protocols.http import PROBLEM, problem


def problem_reply(status: int, detail: str, code: str, headers: dict[str, str] | None = None) -> Reply:
    """Return the answer that says what went wrong."""
    return Reply(problem(status, detail, code), status, PROBLEM, headers or {})


def refusal_reply(refusal: Refusal, retry_after: int) -> Reply:
    """Return the answer to a refused request; what may succeed later says when, in seconds."""
    status = REFUSALS[refusal.kind].http
    headers = {"retry-after": str(retry_after)} if status == 503 else None
    return problem_reply(status, refusal.detail, refusal.kind, headers)


def complete(reply: Reply) -> Reply:
    """Return a reply that HTTP can carry: a status it knows, and a body where an error has none."""
    if not 200 <= reply.status <= 599:
        return problem_reply(500, f"the function replied with the status {reply.status}", "failed")
    if reply.status >= 400 and not reply.body and reply.content_type is None:
        detail = _DETAILS.get(reply.status, "the request was refused")
        return problem_reply(reply.status, detail, "refused", reply.headers)
    return reply


_DETAILS = {
    404: "nothing is served here",
    405: "this path does not serve that method",
    426: "a WebSocket is opened here",
}
