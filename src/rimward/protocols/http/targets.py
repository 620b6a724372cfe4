"""The target of a request [RFC 9112 §3.2], refused where two readers could read it differently."""

import re
from functools import lru_cache

from rimward.protocols.http.errors import HttpError

MAX_PARAMETERS = 100  # in one query
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)(/[^?#]*)?(\?[^#]*)?")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HIDDEN = re.compile(rb"%(?:00|2[Ff])")  # NUL and "/" that appear only after decoding
_DOTS = re.compile(rb"/(?:\.|%2[Ee]){1,2}(?=/|$)")  # segments "." and "..", plain or encoded


@lru_cache(256)
def split(target: bytes, method: str) -> tuple[str, str, str | None]:
    """Return a target's path, query and, where it is absolute, its authority.

    Raises:
        HttpError: it is malformed or hides what its path means.
    """
    authority = None
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
    elif target == b"*" and method == "OPTIONS":
        return "*", "", None
    else:
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise HttpError(400, "the target is neither a path nor a whole http address")
        authority, path = match[1].decode("ascii"), match[2] or b"/"
        query = match[3][1:] if match[3] else b""
    if b"#" in target:
        raise HttpError(400, "the target has a fragment")
    if query.count(b"&") >= MAX_PARAMETERS:
        raise HttpError(400, f"the query has more than {MAX_PARAMETERS} parameters")
    if b"%" in target:
        _check_escapes(path, target)
    if b"/." in path or b"%" in path:
        _check_dots(path)
    return path.decode("ascii"), query.decode("ascii"), authority


def _check_escapes(path: bytes, target: bytes) -> None:
    if _ESCAPE.search(target):
        raise HttpError(400, "a % in the target is not followed by two hexadecimal digits")
    if _HIDDEN.search(path) or b"%00" in target:
        raise HttpError(400, "the path hides NUL or / behind a %")


def _check_dots(path: bytes) -> None:
    if _DOTS.search(path):
        raise HttpError(400, "the path has a segment . or ..")
