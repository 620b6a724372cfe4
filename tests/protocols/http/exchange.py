"""Plays one connection against a session in memory, cut wherever a test likes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rimward.protocols.http import HttpRequest, HttpSession, Limits

SMALL = Limits(line=60, head=200, fields=6, body=64, pipeline=4)


@dataclass
class Exchange:
    """What came of a connection: its requests, its answers and its end."""

    limits: Limits = SMALL
    session: HttpSession = field(init=False)
    requests: list[HttpRequest] = field(default_factory=list[HttpRequest])
    sent: bytes = b""

    def __post_init__(self) -> None:
        self.session = HttpSession(self.limits, now=0)

    def feed(self, pieces: Iterable[bytes]) -> "Exchange":
        """Feed pieces; answer each request at once with its own line and body."""
        for piece in pieces:
            self.answer(self.session.receive_data(piece, now=1))
            while self.session.held:
                self.answer(self.session.receive_data(b"", now=1))
        return self

    def answer(self, requests: Sequence[HttpRequest]) -> None:
        """Answer requests."""
        for request in requests:
            self.requests.append(request)
            body = f"{request.method} {request.path}".encode() + b" " + request.body
            self.session.respond(request, 200, {"x-seen": request.query}, body, now=1)
            self.sent += self.session.data_to_send()
        self.sent += self.session.data_to_send()

    def outcome(self) -> tuple[object, ...]:
        """Return all that a peer and a function can tell."""
        error = self.session.error
        seen = [(r.method, r.path, r.query, r.headers, r.version, r.body) for r in self.requests]
        wrong = None if error is None else (error.status, error.detail)
        return seen, self.sent, wrong, self.session.closing


def play(data: bytes, limits: Limits = SMALL) -> Exchange:
    """Feed everything in one read."""
    return Exchange(limits).feed([data])


def status_of(data: bytes, limits: Limits = SMALL) -> int | None:
    """Return the status of the error that the data causes."""
    error = play(data, limits).session.error
    return None if error is None else error.status
