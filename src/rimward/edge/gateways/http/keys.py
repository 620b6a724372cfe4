"""Idempotency keys: a request that changes something is carried out once, however often it is sent.

The key is on disk with its answer in the transaction of what the request did (GUARANTEES §1), so that a retry
after a crash finds either both or neither. A key belongs to who sent it; for another body it is refused. Only
a success is kept: what was refused or failed has left nothing, and the same key may try again.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec import Struct

from rimward.edge.dispatch.types import Entry, Refusal, Reply
from rimward.edge.gateways.http.config import HttpConfig
from rimward.edge.gateways.http.problems import problem_reply
from rimward.protocols.http import HttpRequest

SPACE = "http-key"
FIELD = "idempotency-key"
MAX_KEY = 255  # characters
_KEY = re.compile(r"[!-~]+", re.ASCII)
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_OVERHEAD = 200  # bytes that a kept key takes besides its answer's body


class KeptAnswer(Struct, frozen=True, gc=False):
    """A key's answer, as it is on disk."""

    sender: str
    request: bytes  # digest of what was asked for
    until: int  # wall ns
    status: int
    content_type: str | None
    headers: dict[str, str]
    body: bytes


class KeyShelf(Protocol):
    """Where answers are kept; the node's outbox is behind it."""

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space holds."""
        ...

    def forget(self, space: str, keys: Iterable[str]) -> None:
        """Forget entries, some time soon."""
        ...


class Turn(Struct):
    """A request that has its key's turn: it runs, and `commits` keeps its answer."""

    commits: Callable[[Reply | None, Refusal | None], Sequence[Entry]]
    ended: Callable[[bool], None]  # to be called with whether it succeeded


class Keys:
    """All keys of a node's callers."""

    def __init__(self, config: HttpConfig, shelf: KeyShelf | None, wall: Callable[[], int]) -> None:
        """Without a shelf no key is honoured. `wall` is ns since the epoch."""
        self._config = config
        self._shelf = shelf
        self._wall = wall
        self._kept: OrderedDict[str, KeptAnswer] = OrderedDict()  # by digest of sender and key, oldest first
        self._running: dict[str, bytes] = {}  # digest of what is asked for, by key
        self._of_one: dict[str, int] = {}
        self.bytes: int = 0  # of the answers that are kept
        self.counters: dict[str, int] = {"keys_replayed": 0, "keys_refused": 0}

    def __len__(self) -> int:
        return len(self._kept)

    def load(self) -> None:
        """Take up what an earlier process kept."""
        if self._shelf is None:
            return
        decoder = msgspec.msgpack.Decoder(KeptAnswer)
        found = {key: decoder.decode(value) for key, value in self._shelf.load(SPACE).items()}
        for key, answer in sorted(found.items(), key=lambda item: item[1].until):
            self._keep(key, answer)
        self.expire()

    def expire(self) -> None:
        """Forget the keys whose time is over."""
        now, over = self._wall(), list[str]()
        for key, answer in self._kept.items():
            if answer.until > now:
                break
            over.append(key)
        for key in over:
            self._drop(key)
        if over and self._shelf is not None:
            self._shelf.forget(SPACE, over)

    def take(self, request: HttpRequest, sender: str, raw: bytes) -> Turn | Reply | None:
        """Give a request its key's turn; a reply where that is had, or refused; None where it has no key."""
        key = request.headers.get(FIELD)
        if key is None or request.method not in _UNSAFE or self._shelf is None:
            return None
        if len(key) > MAX_KEY or not _KEY.fullmatch(key):
            return self._refused(400, f"{FIELD} must be 1 to {MAX_KEY} visible characters", "invalid")
        name = blake2b(f"{sender}\0{key}".encode(), digest_size=16).hexdigest()
        asked = _digest(request, raw)
        if (had := self._had(name, sender, asked)) is not None:
            return had
        return self._begin(name, sender, asked)

    def _had(self, name: str, sender: str, asked: bytes) -> Reply | None:
        """Return the answer to a key that was used before, is being used, or finds no room."""
        later = {"retry-after": str(self._config.retry_after)}
        kept = self._kept.get(name)
        if kept is not None and kept.until > self._wall():
            return self._replay(kept, asked)
        running = self._running.get(name)
        if running is not None and running != asked:
            return self._other()
        if running is not None:
            return self._refused(409, f"a request with this {FIELD} is being served", "conflict", later)
        if (why := self._full(sender)) is not None:
            return self._refused(503, why, "busy", later)
        return None

    def _begin(self, name: str, sender: str, asked: bytes) -> Turn:
        self._running[name] = asked
        made: list[KeptAnswer] = []

        def commits(reply: Reply | None, refusal: Refusal | None) -> Sequence[Entry]:
            if refusal is not None or (reply is not None and reply.stream is not None):
                return ()
            given = reply or Reply(status=204)
            until = self._wall() + round(self._config.keep_keys * 1e9)
            answer = KeptAnswer(
                sender, asked, until, given.status, given.content_type, given.headers, given.body
            )
            made.append(answer)
            return ((SPACE, name, msgspec.msgpack.encode(answer)),)

        def ended(succeeded: bool) -> None:  # noqa: FBT001 (the one thing it is told)
            del self._running[name]
            if succeeded and made:
                self._drop(name)
                self._keep(name, made[0])

        return Turn(commits, ended)

    def _replay(self, kept: KeptAnswer, asked: bytes) -> Reply:
        if kept.request != asked:
            return self._other()
        self.counters["keys_replayed"] += 1
        headers = kept.headers | {"idempotent-replayed": "true"}
        return Reply(kept.body, kept.status, kept.content_type, headers)

    def _other(self) -> Reply:
        return self._refused(422, f"this {FIELD} was used for another request", "conflict")

    def _full(self, sender: str) -> str | None:
        config = self._config
        if self._of_one.get(sender, 0) >= config.max_keys_of_one:
            return f"{config.max_keys_of_one} keys of this caller are kept, the limit"
        if len(self._kept) + len(self._running) >= config.max_keys or self.bytes >= config.max_key_bytes:
            return f"{len(self._kept)} keys are kept, no more fit"
        return None

    def _refused(self, status: int, detail: str, code: str, headers: dict[str, str] | None = None) -> Reply:
        self.counters["keys_refused"] += 1
        return problem_reply(status, detail, code, headers)

    def _keep(self, key: str, answer: KeptAnswer) -> None:
        self._kept[key] = answer
        self.bytes += len(answer.body) + _OVERHEAD
        self._of_one[answer.sender] = self._of_one.get(answer.sender, 0) + 1

    def _drop(self, key: str) -> None:
        answer = self._kept.pop(key, None)
        if answer is None:
            return
        self.bytes -= len(answer.body) + _OVERHEAD
        left = self._of_one[answer.sender] - 1
        if left:
            self._of_one[answer.sender] = left
        else:
            del self._of_one[answer.sender]


def _digest(request: HttpRequest, raw: bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for part in (request.method, request.path, request.query, request.headers.get("content-type", "")):
        digest.update(part.encode("utf-8", "replace") + b"\0")
    digest.update(raw)
    return digest.digest()
