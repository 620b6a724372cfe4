"""A reply made into what its caller gets: with its entity tag, as a 304, in parts, or compressed.

RFC 9110: entity tags and conditions (§8.8.3, §13), ranges (§14), content codings (§8.4, §12.5.3).
"""

from functools import lru_cache

from rimward.edge.dispatch.types import Reply
from rimward.edge.gateways.http.config import HttpConfig
from rimward.edge.gateways.http.problems import problem_reply
from rimward.protocols.http import HttpRequest, codings, conditions, ranges

_SAFE = frozenset({"GET", "HEAD"})
_NO_CODING = frozenset({204, 206, 304, 412, 416})


class Finisher:
    """Finishes replies; it keeps nothing of them."""

    def __init__(self, config: HttpConfig) -> None:
        self.compress_from: int = config.compress_from
        self._to = config.compress_to

    def finish(self, request: HttpRequest, reply: Reply) -> tuple[Reply, bytes]:
        """Return the reply for this request, and header lines that it gets beside its own."""
        if reply.status == 200 and request.method in _SAFE:
            return self._representation(request, reply)
        if len(reply.body) < self.compress_from or reply.status in _NO_CODING:
            return reply, b""
        coding, vary = self._coding(request, reply)
        return (reply if coding is None else _compressed(reply, coding)), vary

    def _representation(self, request: HttpRequest, reply: Reply) -> tuple[Reply, bytes]:
        """Answer GET and HEAD of something that there is."""
        headers = request.headers
        if (
            len(reply.body) < self.compress_from
            and "if-none-match" not in headers
            and "if-match" not in headers
            and "range" not in headers
        ):
            if "etag" not in reply.headers:
                return reply, tag_line(reply.body)  # the usual case
            if conditions.is_tag(reply.headers["etag"]):
                return reply, b""
        tag = reply.headers.get("etag")
        if tag is None or not conditions.is_tag(tag):
            tag = conditions.tag_of(reply.body)
        return self._conditional(request, reply, tag)

    def _conditional(self, request: HttpRequest, reply: Reply, tag: str) -> tuple[Reply, bytes]:
        headers = request.headers
        coding, vary = self._coding(request, reply) if len(reply.body) >= self.compress_from else (None, b"")
        asked = headers.get("range") if request.method == "GET" else None
        if asked is not None and _still_the_same(headers.get("if-range"), tag):
            coding = None  # parts are those of the plain form
        else:
            asked = None
        shown = tag if coding is None else conditions.coded(tag, coding)
        reply.headers = {name: text for name, text in reply.headers.items() if name != "etag"}
        lines = b"etag: %b\r\n" % shown.encode("latin-1", "replace") + vary
        match = headers.get("if-match")
        if match is not None and not conditions.matches(match, shown, strong=True):
            return problem_reply(412, "what there is has another entity tag", "conflict"), lines
        none_match = headers.get("if-none-match")
        if none_match is not None and conditions.matches(none_match, shown, strong=False):
            return Reply(b"", 304, None, reply.headers), lines
        if asked is not None:
            return _parts(reply, asked, tag), lines + b"accept-ranges: bytes\r\n"
        if len(reply.body) >= self.compress_from:
            lines += b"accept-ranges: bytes\r\n"
        return (reply if coding is None else _compressed(reply, coding)), lines

    def _coding(self, request: HttpRequest, reply: Reply) -> tuple[codings.Coding | None, bytes]:
        """Return the coding of a body that is long enough for one, and what its choice depends on."""
        kind = reply.content_type
        if kind is None or not codings.is_compressible(kind) or "content-encoding" in reply.headers:
            return None, b""
        accepted = request.headers.get("accept-encoding")
        if accepted is None or len(reply.body) > self._to:
            return None, b"vary: accept-encoding\r\n"
        return codings.choose(accepted), b"vary: accept-encoding\r\n"


@lru_cache(256)
def tag_line(body: bytes) -> bytes:
    """Return a short body's tag as a header line; many callers get the same few bodies."""
    return b"etag: %b\r\n" % conditions.tag_of(body).encode("ascii")


def _still_the_same(condition: str | None, tag: str) -> bool:
    """Tell whether parts of what the caller has fit what there is [§13.1.5]; a date fits nothing."""
    return condition is None or (
        conditions.is_tag(condition) and conditions.matches(condition, tag, strong=True)
    )


def _parts(reply: Reply, asked: str, tag: str) -> Reply:
    body = reply.body
    try:
        parts = ranges.parse(asked, len(body))
    except ranges.UnsatisfiableError:
        fields = {"content-range": f"bytes */{len(body)}"}
        return problem_reply(416, f"no range begins within {len(body)} bytes", "invalid", fields)
    if parts is None:
        return reply
    if len(parts) == 1:
        [part] = parts
        fields = reply.headers | {"content-range": ranges.content_range(part, len(body))}
        return Reply(body[part.first : part.last + 1], 206, reply.content_type, fields)
    boundary = "part-" + "".join(character for character in tag if character.isalnum())[:40]
    while boundary.encode("ascii", "replace") in body:
        boundary += "x"
    data = ranges.multipart(parts, body, reply.content_type, boundary)
    return Reply(data, 206, f"multipart/byteranges; boundary={boundary}", reply.headers)


def _compressed(reply: Reply, coding: codings.Coding) -> Reply:
    headers = reply.headers | {"content-encoding": coding}
    return Reply(codings.compress(reply.body, coding), reply.status, reply.content_type, headers)
