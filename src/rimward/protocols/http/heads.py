"""The head of a request: request line and header fields [RFC 9112 §3, §5, §6].

Fields are read by llhttp in its strict mode, always from a whole head: it refuses bare CR, LF and NUL,
folded lines, space before a colon, and framing that two readers could read differently. What it leaves open
is refused here.
"""

import re
from functools import lru_cache

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from msgspec import Struct

from rimward.protocols.http.errors import HttpError
from rimward.protocols.http.requests import HttpRequest, Limits
from rimward.protocols.http.targets import split

END = b"\r\n\r\n"
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/(\d)\.(\d)")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?")
_ONCE = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "expect",
        "content-type",
        "traceparent",
        "origin",
        "range",
        "if-range",
        "idempotency-key",
        "sec-websocket-key",
        "sec-websocket-version",
    }
)
_NOT_SERVED = frozenset({"CONNECT", "TRACE"})
_names: dict[bytes, str] = {}  # field names as sent, to lower case; the usual ones are few
_NAMES_KEPT = 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Framing(Struct, gc=False):
    """How a request's body is delimited."""

    length: int = 0  # bytes; of no meaning when chunked
    chunked: bool = False


def find_end(inbox: bytearray, scanned: int, limits: Limits) -> int:
    """Return where the head that `inbox` begins with ends, or -1 while it is not whole.

    `scanned` is how many of the bytes an earlier call has seen. Which rule is reported does not depend on
    how the bytes were cut.

    Raises:
        HttpError: a line ends in a bare LF, or the line or the head is too long.
    """
    if not scanned:
        end = inbox.find(END, 0, limits.line)
        if end >= 0 and inbox.count(b"\n", 0, end) == inbox.count(b"\r\n", 0, end):
            return end + 4  # a short whole head, as nearly all are
    end = inbox.find(END, max(0, scanned - 3), limits.head)
    stop = end + 4 if end >= 0 else min(len(inbox), limits.head)
    first = max(0, scanned - 1)
    lone = -1
    if inbox.count(b"\n", first, stop) != inbox.count(b"\r\n", first, stop):
        lone = _bare_lf(inbox, stop)
    if scanned < limits.line + 2:
        line = inbox.find(b"\r\n", 0, limits.line + 2)
        if line < 0 and len(inbox) >= limits.line + 2 and not 0 <= lone < limits.line + 2:
            raise HttpError(414, f"the request line is longer than {limits.line} bytes")
    if lone >= 0:
        raise HttpError(400, "a line ends in a bare LF")
    if end < 0 and len(inbox) >= limits.head:
        raise HttpError(431, f"the head is longer than {limits.head} bytes")
    return end + 4 if end >= 0 else -1


def _bare_lf(inbox: bytearray, stop: int) -> int:
    at = inbox.find(b"\n", 0, stop)
    while at > 0 and inbox[at - 1] == 13:
        at = inbox.find(b"\n", at + 1, stop)
    return at


class HeadParser:
    """Turns whole heads into requests."""

    __slots__ = ("_fields", "_limits", "_parser")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fields: list[tuple[bytes, bytes]] = []
        self._parser = HttpRequestParser(self)

    # llhttp's callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field."""
        self._fields.append((name, value))

    # ours

    def parse(self, head: bytes) -> tuple[HttpRequest, Framing]:
        """Return the request without its body, and where that ends.

        Raises:
            HttpError: the head is malformed, asks for what is not served, or can be read in two ways.
        """
        method, minor, target = _request_line(head[: head.find(b"\r\n")])
        self._fields.clear()
        try:
            self._parser.feed_data(head)
        except HttpParserUpgrade:
            pass  # an upgrade that is not taken up [RFC 9110 §7.8]: llhttp goes on with the next head
        except HttpParserInvalidMethodError:
            raise HttpError(501, "the method is not known") from None
        except HttpParserError as error:
            raise self._field_error(str(error)) from None
        if method in _NOT_SERVED:
            raise HttpError(501, f"{method} is not served")
        headers = self._headers()
        path, query, authority = split(target, method)
        if authority is not None:
            headers["host"] = authority  # what Host says beside an absolute target is ignored [§3.2.2]
        _check_host(headers.get("host"), minor)
        request = HttpRequest(method, path, query, headers, minor, _keep_alive(headers, minor))
        framing = self._framing(headers, minor)
        if "expect" in headers:
            _expect(request, framing)
        if "upgrade" in headers:
            request.upgrade = _wants_websocket(request, framing)
        return request, framing

    def _headers(self) -> dict[str, str]:
        fields = self._fields
        if len(fields) > self._limits.fields:
            raise HttpError(431, f"there are {len(fields)} header fields, limit is {self._limits.fields}")
        headers: dict[str, str] = {}
        for raw_name, raw_value in fields:
            name = _names.get(raw_name) or _name(raw_name)
            value = raw_value.decode("latin-1").rstrip(" \t")
            if name not in headers:
                headers[name] = value
            elif name in _ONCE:
                raise HttpError(400, f"the header field {name} is there twice")
            else:
                headers[name] += ("; " if name == "cookie" else ", ") + value
        return headers

    def _framing(self, headers: dict[str, str], minor: int) -> Framing:
        """Say how the body ends [RFC 9112 §6], and have llhttp start anew after it."""
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is None and length is None:
            return Framing()
        self._parser = HttpRequestParser(self)
        if coding is not None:
            if length is not None or minor == 0:
                raise HttpError(400, "Transfer-Encoding is there beside Content-Length, or in HTTP/1.0")
            if coding.lower() != "chunked":
                raise HttpError(501, "the transfer coding is not known")
            return Framing(chunked=True)
        assert length is not None
        if not (length.isascii() and length.isdigit()):
            raise HttpError(400, "Content-Length is not a number")
        if len(length) > 18 or int(length) > self._limits.body:
            raise HttpError(413, f"the body is longer than {self._limits.body} bytes")
        return Framing(length=int(length))

    def _field_error(self, reason: str) -> HttpError:
        """Name what llhttp refused; it never quotes the peer."""
        codings = [value for name, value in self._fields if name.lower() == b"transfer-encoding"]
        if len(codings) == 1 and b"chunked" not in codings[0].lower().split(b","):
            return HttpError(501, "the transfer coding is not known")
        if reason == "Content-Length overflow":
            return HttpError(413, f"the body is longer than {self._limits.body} bytes")
        return HttpError(400, f"the head is malformed: {reason}")


@lru_cache(256)
def _request_line(line: bytes) -> tuple[str, int, bytes]:
    match = _LINE.fullmatch(line)
    if match is None or match[3] != b"1" or match[4] not in b"01":
        raise _line_error(line, match)
    return match[1].decode("ascii"), int(match[4]), match[2]


def _line_error(line: bytes, match: re.Match[bytes] | None) -> HttpError:
    if match is not None:
        return HttpError(505, "only HTTP/1.1 and HTTP/1.0 are served")
    if line.rpartition(b" ")[2][:5] != b"HTTP/":
        return HttpError(400, "the request line does not end in HTTP/1.1")
    return HttpError(400, "the request line is malformed")


def _keep_alive(headers: dict[str, str], minor: int) -> bool:
    """Tell whether the connection goes on after this request [RFC 9112 §9.3]."""
    connection = headers.get("connection")
    if connection is None:
        return minor == 1
    tokens = {token.strip() for token in connection.lower().split(",")}
    return "close" not in tokens and (minor == 1 or "keep-alive" in tokens)


def _wants_websocket(request: HttpRequest, framing: Framing) -> bool:
    """Tell whether a request asks to go on as WebSocket [RFC 6455 §4.1]; other upgrades are not taken up."""
    headers = request.headers
    tokens = {token.strip() for token in headers.get("connection", "").lower().split(",")}
    names = {name.strip() for name in headers["upgrade"].lower().split(",")}
    plain = request.method == "GET" and request.version == 1 and not framing.chunked and not framing.length
    return plain and "upgrade" in tokens and "websocket" in names


def _name(raw: bytes) -> str:
    name = raw.decode("ascii").lower()
    if len(_names) < _NAMES_KEPT:
        _names[raw] = name
    return name


def _check_host(host: str | None, minor: int) -> None:
    if host is None:
        if minor == 1:
            raise HttpError(400, "there is no Host")
    elif not _is_host(host):
        raise HttpError(400, "Host is malformed")


@lru_cache(256)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


def _expect(request: HttpRequest, framing: Framing) -> None:
    if request.headers["expect"].lower() != "100-continue":
        raise HttpError(417, "the only expectation known is 100-continue")
    if request.version == 1 and (framing.chunked or framing.length):
        request.interim = _CONTINUE
