"""Responses as bytes [RFC 9112 §4], and problems as RFC 9457 writes them."""

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

PROBLEM = "application/problem+json"
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}
_FRAMING = frozenset(
    {"connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"}
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_known_fields: dict[str, bytes] = {}  # content types that were sent before; types are few
_TYPES = 256  # of them are remembered


def problem(status: int, detail: str, code: str | None = None) -> bytes:
    """Return the body that says what went wrong; `code` is our own stable word for it."""
    body = {"type": "about:blank", "title": title(status), "status": status, "detail": detail}
    if code is not None:
        body["code"] = code
    return msgspec.json.encode(body)


def title(status: int) -> str:
    """Return a status in words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def encode_fields(headers: Mapping[str, str]) -> bytes:
    """Return header fields as bytes.

    A value can't end its line: control characters become spaces. Names that are no tokens, and those by
    which the session delimits responses, are left out.
    """
    if len(headers) == 1 and (kind := headers.get("content-type")) is not None:
        return _known_fields.get(kind) or _content_type(kind)
    lines: list[str] = []
    for name, value in headers.items():
        if _NAME.fullmatch(name) and name.lower() not in _FRAMING:
            lines.append(f"{name.lower()}: {_UNSAFE.sub(' ', value).strip()}\r\n")
    return "".join(lines).encode("latin-1", "replace")


def encode_head(status: int, fields: bytes, length: int | None, connection: bytes) -> bytes:
    """Return the head of a response; `length` is None where the status allows no body."""
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    if length is None:
        return b"%b%b%b\r\n" % (line, fields, connection)
    return b"%b%bcontent-length: %d\r\n%b\r\n" % (line, fields, length, connection)


def _content_type(kind: str) -> bytes:
    line = f"content-type: {_UNSAFE.sub(' ', kind).strip()}\r\n".encode("latin-1", "replace")
    if len(_known_fields) < _TYPES:
        _known_fields[kind] = line
    return line
