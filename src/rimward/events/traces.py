"""Trace identities as W3C Trace Context (level 1) writes them."""

import re

_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII | re.DOTALL
)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class TraceIds:
    """Trace ids without a random call per event: a random prefix and a counter."""

    def __init__(self, prefix: bytes) -> None:
        """Take 8 random bytes, new at every start of the process."""
        if len(prefix) != 8:
            raise ValueError(f"TraceIds: the prefix has {len(prefix)} bytes, it must have 8")
        self._prefix = prefix.hex()
        self._count = 0

    def next(self) -> str:
        """Return a trace id of 32 hexadecimal digits that this process has not given before."""
        self._count += 1
        return f"{self._prefix}{self._count:016x}"


def parse_traceparent(text: str) -> tuple[str, str] | None:
    """Return the trace id and parent id of a traceparent, or None where it is malformed [3.2.2]."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    if match[2] == _NO_TRACE or match[3] == _NO_SPAN:
        return None
    return match[2], match[3]


def format_traceparent(trace_id: str, parent_id: str) -> str:
    """Return a traceparent with the sampled flag set [3.2.2.5]."""
    return f"00-{trace_id}-{parent_id}-01"
