"""The board: which functions and streams a topic or a request runs."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from rimward.app import App
from rimward.app.functions import StreamDeclaration
from rimward.app.triggers import Coap, Cron, Every, Http, Mqtt, Pattern, Timer, Ws
from rimward.edge.dispatch.commands import is_answer
from rimward.edge.dispatch.functions import Far, FunctionRun, Plain, plain_of
from rimward.edge.dispatch.keys import Ground
from rimward.edge.dispatch.ports import TOPICS_CACHED, Listeners
from rimward.edge.dispatch.routes import Match, Routes, path_segments
from rimward.edge.dispatch.streams import Inlet, StreamRun, Tap

WS = "WS"  # the method of messages on a WebSocket; no HTTP request can have it


class Allowed(Struct, frozen=True):
    """The methods that a path serves, where it does not serve the one asked for; empty: none."""

    methods: tuple[str, ...]
    socket: bool = False  # a WebSocket may be opened there


class Board:
    """All routes of an app. What a topic runs is remembered."""

    def __init__(
        self,
        app: App,
        functions: dict[str, FunctionRun],
        ground: Ground,
        before: Mapping[str, StreamRun] = MappingProxyType({}),
    ) -> None:
        """`before` are the streams of the version that runs now, whose keys are taken over later."""
        self.lane: dict[str, Plain] = {}  # of those topics that have one plain function and nothing else
        self.far: dict[str, Far] = {}  # the same of those that run elsewhere
        self._known: dict[str, Listeners] = {}
        self.streams: dict[str, StreamRun] = {}
        self._topics: Routes[tuple[FunctionRun | Inlet, str | None]] = Routes()
        self._paths: dict[str, dict[str, Routes[tuple[Pattern, FunctionRun]]]] = {"http": {}, "coap": {}}
        followers: dict[str, list[FunctionRun]] = {}
        for function in app.edge_functions:
            run, trigger = functions[function.name], function.trigger
            match trigger:
                case Mqtt():
                    self._topics.add(trigger.pattern, (run, trigger.time))
                case Http() | Coap():
                    of_protocol = self._paths["http" if isinstance(trigger, Http) else "coap"]
                    paths = of_protocol.setdefault(trigger.method, Routes())
                    paths.add(trigger.pattern, (trigger.pattern, run))
                case Ws():
                    paths = self._paths["http"].setdefault(WS, Routes())
                    paths.add(trigger.pattern, (trigger.pattern, run))
                case Every() | Cron() | Timer():
                    pass  # no message runs it: see `Firing`
                case StreamDeclaration():
                    followers.setdefault(str(trigger), []).append(run)
        for declaration in app.streams.values():
            name = declaration.name
            late = followers.get(f"late({name})", [])
            own = followers.get(name, [])
            stream = self.streams[name] = StreamRun(
                declaration, own, late, ground, self.streams, follows=name in before
            )
            self._lead(stream)

    def _lead(self, stream: StreamRun) -> None:
        """Lead to a stream what its sources give."""
        for source, trigger in enumerate(stream.declaration.triggers):
            if isinstance(trigger, Mqtt):
                self._topics.add(trigger.pattern, (Inlet(stream, source), trigger.time))
                continue
            taken = self.streams[trigger.name]
            tap = Tap(stream, source, trigger.stream.keys)
            (taken.late_behind if trigger.late else taken.behind).append(tap)

    def listeners(self, topic: str) -> Listeners:
        """Return what a topic runs, and remember it."""
        known = self._known.get(topic)
        if known is not None:
            return known
        if len(self._known) >= TOPICS_CACHED:
            self.forget_all()
        segments = topic.split("/")
        listeners = Listeners([], [], answers=is_answer(segments), topic=topic)
        for match in self._topics.match(segments):
            run, time_field = match.target
            if isinstance(run, Inlet):
                listeners.streams.append(run.bind(match.captures))
            else:
                listeners.bounds.append((run.bind(match.captures), time_field))
        if len(listeners.bounds) == 1 and not listeners.streams and not listeners.answers:
            bound, time_field = listeners.bounds[0]
            if time_field is None and bound.is_plain:
                if bound.run.runs == "inline":
                    self.lane[topic] = plain_of(bound, topic)
                elif bound.run.function.mode is None:
                    self.far[topic] = Far(bound)
        self._known[topic] = listeners
        return listeners

    def forget(self, run: FunctionRun) -> None:
        """Forget what topics run of which this function is a part: it runs elsewhere from now on."""
        for topic, listeners in list(self._known.items()):
            if any(bound.run is run for bound, _ in listeners.bounds):
                del self._known[topic]
                self.lane.pop(topic, None)
                self.far.pop(topic, None)

    def forget_all(self) -> None:
        """Forget what topics run: what is bound in them has changed."""
        self._known.clear()
        self.lane.clear()
        self.far.clear()

    def priority(self, topic: str) -> str:
        """Return the class of a topic: the highest of its functions', "normal" where there is none."""
        classes = {bound.run.function.priority for bound, _ in self.listeners(topic).bounds}
        return next((name for name in ("critical", "normal", "bulk") if name in classes), "normal")

    def priority_of(self, protocol: str, method: str, path: str) -> str:
        """Return the class of a request: its function's, "normal" where there is none."""
        segments = path_segments(path)
        match = self.serve(protocol, method, segments) if segments is not None else None
        return match.target.function.priority if isinstance(match, Match) else "normal"

    def serve(self, protocol: str, method: str, segments: list[str]) -> "Match[FunctionRun] | Allowed":
        """Return the one function that serves a path, or the methods that others serve it with.

        A literal segment wins over a capture, and that over a tail, from left to right. GET answers HEAD.
        """
        paths = self._paths["coap" if protocol == "coap" else "http"]
        for wanted in (method, "GET") if method == "HEAD" else (method,):
            routes = paths.get(wanted)
            if routes is not None and (matches := routes.match(segments)):
                best = min(matches, key=lambda match: _specificity(match.target[0]))
                return Match(best.target[1], best.captures)
        allowed = {method for method, routes in paths.items() if routes.match(segments)}
        if "GET" in allowed and protocol != "coap":
            allowed.add("HEAD")
        return Allowed(tuple(sorted(allowed - {WS})), socket=WS in allowed)


def _specificity(pattern: Pattern) -> tuple[int, ...]:
    """Return a pattern's rank among those that fit one path: the lowest is the most specific."""
    ranks = [0 if segment is not None else 1 for segment in pattern.segments]
    return (*ranks, 2) if pattern.tail else (*ranks, -1)
