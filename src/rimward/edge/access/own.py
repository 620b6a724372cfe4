"""What an identity may do where no rule names it: what the app's own patterns say of its id.

The first capture of a pattern is the sender's id, unless the access file says otherwise (GUARANTEES §7):
`truck-1` may publish to `trucks/truck-1/temperature` and to no other truck's topic. It may listen to what is
below its id, `trucks/truck-1/#`, and it takes its commands. A pattern without captures is open to everyone
who has shown who it is: functions learn from `Device` who that was.
"""

from collections.abc import Iterable

from rimward.app.manifest import FunctionSpec
from rimward.app.triggers import parse_pattern
from rimward.edge.access.grants import Patterns
from rimward.edge.dispatch.commands import topics_of

TOPICS = frozenset({"mqtt"})  # protocols whose triggers name topics; all others name paths


def own_patterns(functions: Iterable[FunctionSpec]) -> Patterns:
    """Return what the triggers of an app let an identity do."""
    command, reply = (topic.removesuffix("/-") for topic in topics_of("{client}", "-"))
    publish, subscribe = [f"{reply}/#"], [f"{command}/#"]
    request: list[str] = []
    observe: list[str] = []
    for one in functions:
        if one.path is None:
            continue
        bound, below = bound_pattern(one.path.removeprefix("/"))
        if one.protocol in TOPICS:
            publish.append(bound)
            subscribe += [below] if below else []
        else:
            request += [f"{method} /{bound}" for method in methods_of(one.method)]
            observe.append(f"/{bound}")
    return Patterns(*(tuple(dict.fromkeys(part)) for part in (publish, subscribe, request, observe)))


def methods_of(method: str | None) -> tuple[str, ...]:
    """Return the methods by which a function may be asked for; a GET answers HEAD too."""
    if method is None:
        return ("GET",)  # a WebSocket begins as one
    return ("GET", "HEAD") if method == "GET" else (method,)


def bound_pattern(text: str) -> tuple[str, str | None]:
    """Return a trigger's pattern with its first capture bound, and the filter of all below that, if any."""
    pattern = parse_pattern(text, "pattern")
    levels: list[str] = []
    below: str | None = None
    for segment in pattern.segments:
        if segment is None and below is None:
            below = "/".join((*levels, "{client}", "#"))
            levels.append("{client}")
        else:
            levels.append("+" if segment is None else segment)
    if pattern.tail and below is None:
        below = "/".join((*levels, "{client}", "#"))
        return below, below
    if pattern.tail:
        levels.append("#")
    return "/".join(levels), below
