"""The server's side of one HTTP/1.1 connection, without I/O [RFC 9110, RFC 9112].

Bytes in, requests out; answers in, bytes out, in the order of the requests. Served: HTTP/1.1 and 1.0,
keep-alive, pipelining, HEAD, `Expect: 100-continue`, chunked request bodies, responses in pieces, and the way
out of HTTP to WebSocket. Not served: other upgrades, TRACE, CONNECT. Cutting the byte stream anywhere changes
nothing.

What the peer does wrong is recorded in `error` and answered, never raised; the connection ends after that.
"""

from collections import deque
from collections.abc import Mapping

from rimward.protocols.http.chunks import ChunkedBody
from rimward.protocols.http.errors import HttpError
from rimward.protocols.http.heads import HeadParser, find_end
from rimward.protocols.http.requests import HttpRequest, Limits
from rimward.protocols.http.responses import PROBLEM, encode_fields, encode_head, problem

_SAMPLE = 4096  # bytes of what could not be taken that `error` keeps
_BLANK_LINES = 4  # empty lines ignored before a request line [RFC 9112 §2.2]
_HEAD_KEPT = 1024  # bytes of a head that its request has as it came
_CLOSE, _KEEP = b"connection: close\r\n", b"connection: keep-alive\r\n"
_UPGRADE_REQUIRED = 426
_UPGRADE = b"connection: upgrade\r\nupgrade: websocket\r\n"  # what a 426 has to say [RFC 9110 §15.5.22]


class HttpSession:
    """One connection: bytes in, requests and bytes out. Times are monotonic ns."""

    __slots__ = (
        "_blank",
        "_body",
        "_eof",
        "_heads",
        "_idle_from",
        "_inbox",
        "_last",
        "_length",
        "_limits",
        "_out",
        "_partial_until",
        "_pending",
        "_reading",
        "_scanned",
        "error",
        "held",
        "lines",
    )

    def __init__(self, limits: Limits, now: int) -> None:
        self.lines: bytes = b""  # whole header lines that the next answer gets beside its own
        self.error: HttpError | None = None  # once set, send `data_to_send()` and close
        self.held = False  # True: the pipeline is full, what follows is parsed by `receive_data(b"")`
        self._limits = limits
        self._heads = HeadParser(limits)
        self._inbox = bytearray()
        self._scanned = 0  # bytes of the inbox in which no head ends
        self._blank = 0  # empty lines ignored since the last request
        self._reading: HttpRequest | None = None  # the request whose body is not whole
        self._length = 0  # of its body
        self._body: ChunkedBody | None = None  # its body, when chunked
        self._pending: deque[HttpRequest] = deque()  # not answered, or answered before an earlier one
        self._out: list[bytes] = []
        self._eof = False  # True: the peer sends no more
        self._last = False  # True: no further request is taken
        self._idle_from = now
        self._partial_until: int | None = None  # deadline of the head or body that is not whole

    @property
    def pending(self) -> int:
        """How many requests wait for their answer, or for an earlier one's."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether no further request may be taken: as many wait as may, or one asks to leave HTTP."""
        pending = self._pending
        return len(pending) >= self._limits.pipeline or bool(pending and pending[-1].upgrade)

    @property
    def front(self) -> HttpRequest | None:
        """The request whose answer is sent next, where it has none yet."""
        return self._pending[0] if self._pending else None

    @property
    def idle(self) -> bool:
        """Whether the next byte begins a request that would be answered at once: nothing is owed or held."""
        return not (self._pending or self._inbox or self._last or self._eof)

    @property
    def closing(self) -> bool:
        """Whether the connection is over once `data_to_send()` is sent."""
        return self._last and not self._pending

    @property
    def deadline(self) -> int | None:
        """When to call `expire`, monotonic ns; None while it is our turn."""
        if self._partial_until is not None:
            return self._partial_until
        if self._pending or self._last:
            return None
        return self._idle_from + int(self._limits.idle_timeout * 1e9)

    def receive_data(self, data: bytes, now: int) -> list[HttpRequest]:
        """Return the requests that `data` completed, up to the first that breaks a rule."""
        requests: list[HttpRequest] = []
        if self._last:
            return requests
        self._inbox += data
        self._idle_from = now
        self.held = False
        try:
            while self._inbox:
                request = self._next(now)
                if request is None:
                    break
                requests.append(request)
                if request.upgrade:
                    self.held = True  # what follows may not be HTTP
                    break
                if not request.keep_alive:
                    self.stop()
                    break
        except HttpError as error:
            self._fail(error)
        if self._eof and not self.held:
            self.stop()
        return requests

    def receive_eof(self) -> None:
        """The peer sends no more; what it asked for is still answered."""
        self._eof = True
        if not self.held:
            self.stop()

    def respond(
        self, request: HttpRequest, status: int, headers: Mapping[str, str], body: bytes, *, now: int
    ) -> None:
        """Answer a request; the bytes leave when all earlier requests are answered."""
        assert request.answer is None
        if request.upgrade:
            self._stay(request)
        connection = _UPGRADE if status == _UPGRADE_REQUIRED else b""
        if not request.keep_alive:
            connection += _CLOSE
        elif request.version == 0:
            connection += _KEEP
        fields = self.lines + encode_fields(headers) if headers else self.lines
        if len(self._pending) == 1 and status == 200 and request.method != "HEAD":
            self._pending.clear()  # the usual case, without the detours of the others
            self._out.append(request.interim + encode_head(200, fields, len(body), connection) + body)
            self._idle_from = now
            return
        if status == 204 or status == 304 or status < 200:  # noqa: PLR1714 (twice as fast, per response)
            request.answer = encode_head(status, fields, None, connection)
        else:
            head = encode_head(status, fields, len(body), connection)
            request.answer = head if request.method == "HEAD" else head + body
        self._idle_from = now
        self._release()

    def pass_by(self, answer: bytes, now: int) -> None:
        """Send the whole answer to a request that came while the session was idle, past it."""
        self._out.append(answer)
        self._idle_from = now
        self._blank = 0

    def take(self, request: HttpRequest) -> None:
        """Take a whole request that came while the session was idle, and was read by somebody else."""
        self._pending.append(request)
        self._blank = 0

    def open(self, request: HttpRequest, status: int, headers: Mapping[str, str]) -> bool:
        """Begin an answer whose length is not known, of the request that is in front; False: it has no body.

        HTTP/1.1 gets it in chunks; for HTTP/1.0 the end of the connection is its end.
        """
        assert request is self.front
        if request.version == 0:
            request.keep_alive = False
            self._last = True
        fields = self.lines + encode_fields(headers)
        framing = b"transfer-encoding: chunked\r\n" if request.version else b""
        connection = b"" if request.keep_alive else _CLOSE
        self._out.append(request.interim + encode_head(status, fields + framing, None, connection))
        request.interim = b""
        request.opened = True
        if request.method != "HEAD":
            return True
        request.answer = b""
        self._release()
        return False

    def send(self, request: HttpRequest, data: bytes) -> None:
        """Send a piece of an answer that is open."""
        if data:
            self._out.append(b"%x\r\n%b\r\n" % (len(data), data) if request.version else data)

    def finish(self, request: HttpRequest, now: int) -> None:
        """End an answer that is open; the next request's turn comes."""
        request.answer = b"0\r\n\r\n" if request.version else b""
        self._idle_from = now
        self._release()

    def detach(self, request: HttpRequest) -> bytes:
        """Leave HTTP [RFC 9110 §7.8]: return what came behind the request; the session is over."""
        assert request is self.front
        assert request.upgrade
        rest = bytes(self._inbox)
        self._pending.clear()
        self.stop()
        return rest

    def expire(self, now: int) -> None:
        """The deadline has passed: give up on a partial request, close what is idle."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            return
        if self._partial_until is None:
            self.stop()
        else:
            self._fail(HttpError(408, "the request took too long to come"))

    def stop(self) -> None:
        """Take no further request; those taken are answered, the last one with `connection: close`."""
        self._last = True
        self.held = False
        self._partial_until = None
        self._inbox.clear()
        if self._reading is not None:
            self._pending.remove(self._reading)
            self._reading = None
        if self._pending:
            self._pending[-1].keep_alive = False

    def data_to_send(self) -> bytes:
        """Return what is to be sent now, joined."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def _next(self, now: int) -> HttpRequest | None:
        """Return the next whole request, or None where more bytes or answers are needed."""
        request = self._reading
        if request is None:
            if self.full:
                self.held: bool = bool(self._inbox)
                return None
            request = self._next_head(now)
            if request is None:
                return None
        if not self._take_body(request):
            return None
        self._reading = None
        self._partial_until = None
        return request

    def _next_head(self, now: int) -> HttpRequest | None:
        inbox = self._inbox
        while inbox.startswith(b"\r\n"):
            del inbox[:2]
            self._scanned = 0
            self._partial_until = None
            self._blank += 1
            if self._blank > _BLANK_LINES:
                raise HttpError(400, "there are empty lines where a request line should be")
        end = find_end(inbox, self._scanned, self._limits) if inbox else -1
        if end < 0:
            if inbox and self._partial_until is None:
                self._partial_until = now + int(self._limits.head_timeout * 1e9)
            self._scanned = len(inbox)
            return None
        head = bytes(inbox[:end])
        request, framing = self._heads.parse(head)
        if end <= _HEAD_KEPT:
            request.head = head
        del inbox[:end]
        self._scanned = 0
        self._blank = 0
        self._length = framing.length
        self._body = ChunkedBody(self._limits.body) if framing.chunked else None
        self._reading = request
        self._pending.append(request)
        if self._length or self._body is not None:
            self._partial_until = now + int(self._limits.body_timeout * 1e9)
            if request.interim:
                self._release()
        return request

    def _take_body(self, request: HttpRequest) -> bool:
        if self._body is not None:
            if not self._body.take(self._inbox):
                return False
            request.body = bytes(self._body.data)
            self._body = None
        elif self._length:
            if len(self._inbox) < self._length:
                return False
            request.body = bytes(self._inbox[: self._length])
            del self._inbox[: self._length]
        return True

    def _stay(self, request: HttpRequest) -> None:
        """Go on with HTTP, since the request did not leave it."""
        request.upgrade = False
        if not request.keep_alive:
            self.stop()

    def _release(self) -> None:
        """Move what is at the head of the line to the output."""
        pending = self._pending
        while pending:
            first = pending[0]
            if first.interim:
                self._out.append(first.interim)
                first.interim = b""
            if first.answer is None:
                return
            self._out.append(first.answer)
            pending.popleft()

    def _fail(self, error: HttpError) -> None:
        """Record what went wrong, answer it in its turn, and take no more."""
        error.sample = bytes(self._inbox[:_SAMPLE])
        request = self._reading
        if request is None:
            request = HttpRequest("", "", "", {}, 1, keep_alive=False)
            self._pending.append(request)
        else:
            error.target = request.path
            self._reading = None
        request.interim = b""
        self.error = error
        body = problem(error.status, error.detail)
        fields = self.lines + encode_fields({"content-type": PROBLEM})
        head = encode_head(error.status, fields, len(body), _CLOSE)
        request.answer = head if request.method == "HEAD" else head + body
        self.stop()
        self._release()
