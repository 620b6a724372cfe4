"""Triggers: what makes a function run. Always the first argument of the decorator."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from rimward.app.cron import Line, parse
from rimward.app.problems import Problem, name_of
from rimward.app.webhooks import Signed
from rimward.app.zones import zone_of
from rimward.events import Duration, seconds

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\.\.\.)?\}")


class Pattern(Struct, frozen=True):
    """A topic filter or path with captures; `{name}` is one segment, `{rest...}` the tail."""

    text: str
    segments: tuple[str | None, ...]  # a literal, or None for a capture
    captures: tuple[str, ...]  # names, in order of their segments
    tail: str | None  # the name of the tail's capture

    @property
    def names(self) -> tuple[str, ...]:
        """Every capture's name, the tail's last."""
        return (*self.captures, self.tail) if self.tail else self.captures


def parse_pattern(text: str, what: str) -> Pattern:
    """Return the pattern that `text` writes, without its leading slash.

    Raises:
        Problem: a segment mixes text and capture, a name stands twice, or a tail is not last.
    """
    literals: list[str | None] = []
    captures: list[str] = []
    tail: str | None = None
    segments = text.split("/")
    for index, segment in enumerate(segments):
        match = _CAPTURE.fullmatch(segment)
        if match is None:
            _check_literal(segment, text, what)
            literals.append(segment)
            continue
        name, is_tail = match[1], bool(match[2])
        if name in captures or name == tail:
            raise Problem(f"{what} {text!r} captures {name!r} twice", "give each capture a name of its own")
        if not is_tail:
            literals.append(None)
            captures.append(name)
        elif index != len(segments) - 1:
            raise Problem(f"{what} {text!r} has its tail {segment!r} before the end", "put the tail last")
        else:
            tail = name
    return Pattern(text, tuple(literals), tuple(captures), tail)


def _check_literal(segment: str, text: str, what: str) -> None:
    if "{" in segment or "}" in segment:
        raise Problem(
            f"{what} {text!r} has the segment {segment!r}, part text and part capture",
            "a capture is a whole segment: write '{name}' between two slashes",
        )
    if "+" in segment or "#" in segment or "\0" in segment:
        raise Problem(
            f"{what} {text!r} has {segment!r}, with one of + # NUL",
            "write '{name}' for one segment and '{rest...}' for the tail",
        )


class Mqtt(Struct, frozen=True):
    """A message published to a topic."""

    pattern: Pattern
    time: str | None  # the payload's field with the event's own time

    def __str__(self) -> str:
        return f'mqtt("{self.pattern.text}")'


class Http(Struct, frozen=True):
    """An HTTP request to a path."""

    method: str
    pattern: Pattern
    signed: Signed | None = None  # whose signature a request must have

    def __str__(self) -> str:
        return f'http.{self.method.lower()}("/{self.pattern.text}")'


class Ws(Struct, frozen=True):
    """A message on a WebSocket that was opened at a path."""

    pattern: Pattern
    topic: Pattern | None = None  # whose actions go to the socket; its captures are the path's

    def __str__(self) -> str:
        return f'ws("/{self.pattern.text}")'


class Coap(Struct, frozen=True):
    """A CoAP request to a path."""

    method: str
    pattern: Pattern

    def __str__(self) -> str:
        return f'coap.{self.method.lower()}("{self.pattern.text}")'


class Every(Struct, frozen=True):
    """A steady beat."""

    period: float  # seconds
    once: str = "node"  # "node", or "site": one node of a site

    def __str__(self) -> str:
        return f'every("{self.period:g}s")'


class Cron(Struct, frozen=True):
    """The times that a cron line names."""

    text: str
    tz: str
    line: Line
    zone: dt.tzinfo
    once: str = "node"  # as of `Every`

    def __str__(self) -> str:
        return f'cron("{self.text}", tz="{self.tz}")'


class Timer(Struct, frozen=True):
    """A timer of a state's key that `state.after` has started."""

    state: type[Struct]

    def __str__(self) -> str:
        return f"timer({self.state.__name__})"


Trigger = Mqtt | Http | Ws | Coap | Every | Cron | Timer


def mqtt(topic: str, *, time: str | None = None) -> Mqtt:
    """Run for each message published to the topic; `time` names the payload's field with the event's time."""
    if not topic or topic.startswith(("/", "$")):
        raise Problem(f"topic {topic!r} is empty or starts with one of / $", "start it with a name")
    return Mqtt(parse_pattern(topic, "topic"), time)


class HttpMethods:
    """`http.get(path)` and its siblings: run for each request of that method to the path."""

    def get(self, path: str) -> Http:
        """Run for GET (and answer HEAD)."""
        return _route("GET", path)

    def post(self, path: str, *, signed: Signed | None = None) -> Http:
        """Run for POST; `signed` refuses what has not that signature: `webhook.github(secret="env:NAME")`."""
        return _route("POST", path, signed)

    def put(self, path: str, *, signed: Signed | None = None) -> Http:
        """Run for PUT; `signed` as for POST."""
        return _route("PUT", path, signed)

    def patch(self, path: str, *, signed: Signed | None = None) -> Http:
        """Run for PATCH; `signed` as for POST."""
        return _route("PATCH", path, signed)

    def delete(self, path: str) -> Http:
        """Run for DELETE."""
        return _route("DELETE", path)

    def head(self, path: str) -> Http:
        """Run for HEAD, instead of the path's GET."""
        return _route("HEAD", path)

    def options(self, path: str) -> Http:
        """Run for OPTIONS."""
        return _route("OPTIONS", path)


def _route(method: str, path: str, signed: Signed | None = None) -> Http:
    if not path.startswith("/"):
        raise Problem(f"path {path!r} does not start with /", f"write '/{path}'")
    if signed is not None and not isinstance(signed, Signed):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass texts)
        raise Problem(
            "http: signed= is not a signature", 'write signed=webhook.github(secret="env:GITHUB_SECRET")'
        )
    return Http(method, parse_pattern(path[1:], "path"), signed)


http: HttpMethods = HttpMethods()


def ws(path: str, *, topic: str | None = None) -> Ws:
    """Run for each message on a WebSocket opened at the path; what is returned goes back on it.

    Args:
        path: with captures, as for HTTP; the headers and the query are those of the opening request.
        topic: actions published to it (`app.publish`) go to the socket too. Its captures are the path's.
    """
    if not path.startswith("/"):
        raise Problem(f"path {path!r} does not start with /", f"write '/{path}'")
    pattern = parse_pattern(path[1:], "path")
    if topic is None:
        return Ws(pattern)
    wanted = mqtt(topic).pattern
    for name in wanted.names:
        if name not in pattern.names:
            raise Problem(
                f"ws: the topic {topic!r} captures {name!r}, which the path {path!r} does not",
                f"write {{{name}}} in the path: a socket is told of one topic",
            )
    return Ws(pattern, wanted)


class CoapMethods:
    """`coap.post(path)` and its siblings: run for each CoAP request of that method to the path."""

    def _route(self, method: str, path: str) -> Coap:
        text = path.removeprefix("/")
        if not text or text.startswith((".well-known/", "$")):
            raise Problem(
                f"path {path!r} is empty, or starts with $ or .well-known/",
                "write coap.get('meters/{meter}'); /.well-known/core lists it by itself",
            )
        return Coap(method, parse_pattern(text, "path"))

    def get(self, path: str) -> Coap:
        """Run for GET; who observes the path gets what it returns again after each change."""
        return self._route("GET", path)

    def post(self, path: str) -> Coap:
        """Run for POST."""
        return self._route("POST", path)

    def put(self, path: str) -> Coap:
        """Run for PUT."""
        return self._route("PUT", path)

    def delete(self, path: str) -> Coap:
        """Run for DELETE."""
        return self._route("DELETE", path)

    def fetch(self, path: str) -> Coap:
        """Run for FETCH: a GET whose payload says what is wanted."""
        return self._route("FETCH", path)

    def patch(self, path: str) -> Coap:
        """Run for PATCH."""
        return self._route("PATCH", path)

    def ipatch(self, path: str) -> Coap:
        """Run for iPATCH: a PATCH that may be done twice."""
        return self._route("IPATCH", path)


coap: CoapMethods = CoapMethods()


def every(period: Duration, *, once: Literal["node", "site"] = "node") -> Every:
    """Run at a steady beat; missed beats run once.

    Args:
        period: between two beats.
        once: "node": on each node; "site": on one node of the site, which today is its only one.
    """
    _check_once("every", once)
    try:
        return Every(seconds(period), once)
    except ValueError as error:
        raise Problem(f"every: {error}", "write every('10s')") from None


class Late(Struct, frozen=True):
    """The values of a stream that came too late for it."""

    stream: Callable[..., Any]


def late(stream: Callable[..., Any]) -> Late:
    """Run a function on each value that came too late for a stream, as it reached the step concerned."""
    return Late(stream)


def cron(line: str, *, tz: str = "UTC", once: Literal["node", "site"] = "node") -> Cron:
    """Run at the times that a cron line names; those missed run once.

    Args:
        line: minute, hour, day, month, weekday, as crontab(5) has them; or `@hourly`, `@daily`, `@weekly`,
            `@monthly`, `@yearly`.
        tz: the zone whose clock the line follows. A time that its clock skips runs right after, one that
            comes twice runs the first time; steady lines, whose minute or hour begins with `*`, just follow.
        once: as of `every`.
    """
    _check_once("cron", once)
    try:
        return Cron(line, tz, parse(line), zone_of(tz), once)
    except (ValueError, AttributeError) as error:
        cure = 'write minute, hour, day, month and weekday: cron("0 3 * * *", tz="Europe/Berlin")'
        if str(line).strip().lower() == "@reboot":
            cure = "use @app.on_start"
        raise Problem(f"cron: {error}", cure) from None


def timer(state: type[Struct]) -> Timer:
    """Run when `state.after` said so: with its key's capture, and the cell itself where it is asked for."""
    if not (isinstance(state, type) and issubclass(state, Struct)):  # pyright: ignore[reportUnnecessaryIsInstance] (users pass others)
        raise Problem(f"timer: {name_of(state)} is not a state", "write timer(Truck), with a state")
    return Timer(state)


def _check_once(trigger: str, once: object) -> None:
    if once not in {"node", "site"}:
        raise Problem(f"{trigger}: once is {once!r}", "write one of node, site")


def is_trigger(value: Any) -> bool:
    """Tell whether a value is one of the triggers of this module."""
    return isinstance(value, Mqtt | Http | Ws | Coap | Every | Cron | Timer)
