"""Server-sent events as text [WHATWG HTML §9.2.6]."""

import re

EVENT_STREAM = "text/event-stream"
COMMENT = b":\n\n"  # keeps proxies and half-open connections honest; no reader sees it
_LINES = re.compile(r"\r\n|\r|\n")
_ENDS = re.compile(r"[\r\n\0]")


def encode_event(data: str, identity: str | None = None, name: str | None = None) -> bytes:
    """Return one event; no text can end a line of its own, so none can forge another field."""
    lines: list[str] = []
    if identity is not None:
        lines.append(f"id: {_ENDS.sub(' ', identity)}")
    if name is not None:
        lines.append(f"event: {_ENDS.sub(' ', name)}")
    lines += [f"data: {line}" for line in _LINES.split(data)]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")
