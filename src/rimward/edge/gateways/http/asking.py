"""One request's way to its function: its body decoded, its key's turn, its conditions; then the door.

A condition of a request that changes something is compared with what the path's GET function answers at that
moment, in the same turn of the loop [RFC 9110 §13.1]. Where that is not known, the condition does not hold:
a lost update is worse than a 412.
"""

from collections.abc import Callable
from typing import Protocol

from rimward.edge.dispatch.types import Door, Reply, Request, Sender, Ticket
from rimward.edge.gateways.http.config import HttpConfig
from rimward.edge.gateways.http.keys import FIELD, Keys, Turn
from rimward.edge.gateways.http.problems import complete, problem_reply, refusal_reply
from rimward.observe import Logger, get_logger
from rimward.protocols.http import HttpError, HttpRequest, codings, conditions

log: Logger = get_logger("rimward.http")

_EMPTY = Reply(status=204)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NOT_OF_GET = frozenset(
    {"content-type", "content-encoding", "content-length", "if-match", "if-none-match", FIELD}
)


class Caller(Protocol):
    """The connection that a request came on."""

    sender: Sender

    def answer(self, request: HttpRequest, reply: Reply, now: int) -> None:
        """Send an answer, in its turn."""
        ...


class Asker:
    """Brings requests to the door, and back what it says."""

    def __init__(self, door: Door, config: HttpConfig, clock: Callable[[], int], keys: Keys) -> None:
        self._door = door
        self._config = config
        self._clock = clock
        self.keys: Keys = keys
        self.failed: int = 0  # requests that broke something of ours

    def ask(self, caller: Caller, request: HttpRequest, now: int) -> None:
        """Have a request answered, now or later."""
        headers, body = request.headers, request.body
        message = Request(request.method, request.path, request.query, headers, body, caller.sender, now)
        if body and "content-encoding" in headers:
            try:
                message.body = codings.expand(body, headers["content-encoding"], self._config.max_body)
            except HttpError as error:
                caller.answer(request, _coding_problem(error), now)
                return
            message.raw = body
        if FIELD in headers:
            turn = self.keys.take(request, caller.sender.id, body)
            if isinstance(turn, Reply):
                caller.answer(request, turn, now)
                return
            if turn is not None:
                self._keyed(caller, request, message, turn)
                return
        if (failed := self._unmet(request, message)) is not None:
            caller.answer(request, failed, now)
            return
        self.settle(caller, request, self._ticket(message), now)

    def settle(self, caller: Caller, request: HttpRequest, ticket: Ticket | None, now: int) -> None:
        """Have a request answered with its ticket, now or later; None: it broke something of ours."""
        if ticket is None:
            caller.answer(request, problem_reply(500, "the node failed", "failed"), now)
        elif ticket.done:
            caller.answer(request, self._reply(ticket), now)
        else:
            ticket.on_done = lambda done: caller.answer(request, self._reply(done), self._clock())

    def _keyed(self, caller: Caller, request: HttpRequest, message: Request, turn: Turn) -> None:
        """Have a request answered whose answer is kept."""
        now = message.read_at
        message.commits = turn.commits
        failed = self._unmet(request, message)
        ticket = None if failed is not None else self._ticket(message)
        if ticket is None:
            turn.ended(False)
            caller.answer(request, failed or problem_reply(500, "the node failed", "failed"), now)
            return

        def answered(ticket: Ticket) -> None:
            turn.ended(ticket.refusal is None)
            caller.answer(request, self._reply(ticket), self._clock())

        if ticket.done:
            answered(ticket)
        else:
            ticket.on_done = answered

    def _ticket(self, message: Request) -> Ticket | None:
        try:
            return self._door.request(message)
        except Exception:  # noqa: BLE001 (the outermost edge: one broken request must not end the connections of others)
            return self.broken()

    def broken(self) -> None:
        """Count and tell the error that is being handled: a request broke something of ours."""
        log.exception("a request failed inside the node")  # noqa: LOG004 (called where it is handled)
        self.failed += 1

    def _reply(self, ticket: Ticket) -> Reply:
        if ticket.refusal is not None:
            return refusal_reply(ticket.refusal, self._config.retry_after)
        return _EMPTY if ticket.reply is None else complete(ticket.reply)

    def _unmet(self, request: HttpRequest, message: Request) -> Reply | None:
        """Return the answer to a request that changes something, and whose condition does not hold."""
        headers = request.headers
        match, none_match = headers.get("if-match"), headers.get("if-none-match")
        if (match is None and none_match is None) or request.method in _SAFE:
            return None
        known, tag = self._tag(message)
        holds = known or (match is None and none_match is not None and none_match.strip() != "*")
        if match is not None:
            holds = holds and _names(match, tag, strong=True)
        if none_match is not None:
            holds = holds and conditions.is_condition(none_match)
            holds = holds and not _names(none_match, tag, strong=False)
        if holds:
            return None
        detail = (
            "what there is has another entity tag" if known else "what there is can't be compared at once"
        )
        return problem_reply(412, detail, "conflict")

    def _tag(self, message: Request) -> tuple[bool, str | None]:
        """Return whether it is known what the path's GET answers at this moment, and the tag of that."""
        headers = {name: text for name, text in message.headers.items() if name not in _NOT_OF_GET}
        asked = Request("GET", message.path, message.query, headers, b"", message.sender, message.read_at)
        ticket = self._ticket(asked)
        if ticket is None or not ticket.done:
            return False, None
        if ticket.refusal is not None:
            return ticket.matched and ticket.refusal.kind == "not-found", None
        reply = ticket.reply or _EMPTY
        if reply.stream is not None or not 200 <= reply.status < 300:
            return False, None
        own = reply.headers.get("etag")
        return True, own if own is not None and conditions.is_tag(own) else conditions.tag_of(reply.body)


def _names(condition: str, tag: str | None, *, strong: bool) -> bool:
    """Tell whether a condition names a tag, in whatever coding its representation was sent."""
    tags = [tag] if tag is None else [tag, conditions.coded(tag, "gzip"), conditions.coded(tag, "zstd")]
    return any(conditions.matches(condition, one, strong=strong) for one in tags)


def _coding_problem(error: HttpError) -> Reply:
    headers = {"accept-encoding": codings.OFFERED} if error.status == 415 else None
    return problem_reply(error.status, error.detail, "payload", headers)
