"""Which requests a node takes now: asked by HTTP, WebSocket and CoAP before anything of them is decoded.

A node that has too much to do refuses the lowest class first (`overload.py`), whatever the protocol. Beside
that a caller has a rate, and a class has one that all callers share. MQTT's own are in its gateway: its words
for them are others.
"""

from collections.abc import Callable
from math import ceil
from typing import Protocol

from msgspec import Struct

from rimward.edge.gateways.overload import Overload
from rimward.protocols.buckets import Bucket, Buckets

CALLERS = 16_384  # whose rates are remembered, each

Route = tuple[str, str, str]  # the protocol, the method and the path of a request


def _normal(protocol: str, method: str, path: str) -> str:  # noqa: ARG001 (all are of one class)
    return "normal"


class Load(Struct, frozen=True):
    """What a node's gateways know of its load."""

    overload: Overload | None = None  # None: it never has too much to do
    classify: Callable[[str, str, str], str] = _normal  # protocol, method and path of a request to its class


class RequestRates(Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken in a second; 0 is no limit."""

    requests: float = 0.0  # of one caller: an identity, or an address that has shown none
    bytes: float = 0.0  # of one caller, bodies
    critical: float = 0.0  # requests of all callers to functions of this class
    normal: float = 0.0
    bulk: float = 0.0
    burst: float = 2.0  # seconds of a rate that may come at once

    @property
    def limits(self) -> bool:
        """Whether there is any."""
        return any((self.requests, self.bytes, self.critical, self.normal, self.bulk))


class ClassRates(Protocol):
    """The rates of the classes, a second, and the seconds of a rate that may come at once."""

    @property
    def critical(self) -> float: ...
    @property
    def normal(self) -> float: ...
    @property
    def bulk(self) -> float: ...
    @property
    def burst(self) -> float: ...


def class_buckets(rates: ClassRates, now: float) -> dict[str, Bucket]:
    """Return the bucket of each class that has a rate; `now` is monotonic seconds."""
    of_class = {"bulk": rates.bulk, "normal": rates.normal, "critical": rates.critical}
    return {name: Bucket(rate, max(1.0, rate * rates.burst), now) for name, rate in of_class.items() if rate}


class NotNow(Struct, frozen=True):
    """Why a request is refused that may be taken later."""

    busy: bool  # the node, or a class of it, has too much to do; else its caller has sent too much
    detail: str
    after: int  # seconds


class Admission:
    """The rates of one gateway, and the load of the node."""

    def __init__(
        self, rates: RequestRates, load: Load, counters: dict[str, int], now: float, *, largest: int
    ) -> None:
        """`now` is monotonic seconds; a burst has at least `largest` bytes: one body always fits."""
        self.overload: Overload | None = load.overload
        self._classify = load.classify
        self._counters = counters
        for name in ("refused_busy", "refused_over_rate"):
            counters.setdefault(name, 0)
        self._requests = _each(rates.requests, 1.0, rates.burst)
        self._bytes = _each(rates.bytes, float(largest), rates.burst)
        self._classes: dict[str, Bucket] = class_buckets(rates, now)
        self._rated = rates.limits

    @property
    def asks(self) -> bool:
        """Whether anything can be refused now; else nobody needs to ask."""
        return self._rated or (self.overload is not None and self.overload.level > 0)

    def refuse(self, caller: str, route: Route, size: int, now: int) -> NotNow | None:
        """Tell why a request is not taken now; one that is taken is counted against its rates.

        `size` is its body's, `now` monotonic ns.
        """
        kind = self._classify(*route)
        if self.overload is not None and self.overload.refuses(kind):
            self._counters["refused_busy"] += 1
            detail = f"the node has too much to do, and refuses requests of the class {kind}"
            return NotNow(True, detail, self.overload.again_after)
        return self._over_rate(caller, kind, size, now * 1e-9) if self._rated else None

    def _over_rate(self, caller: str, kind: str, size: int, now: float) -> NotNow | None:
        costs: list[tuple[Bucket, float]] = []
        if self._requests is not None:
            costs.append((self._requests.of(caller, now), 1.0))
        if self._bytes is not None and size:
            costs.append((self._bytes.of(caller, now), float(size)))
        wait = max((bucket.lack(cost, now) for bucket, cost in costs), default=0.0)
        of_class = self._classes.get(kind)
        if not wait and of_class is not None and (wait := of_class.lack(1, now)):
            self._counters["refused_over_rate"] += 1
            return NotNow(True, f"more requests of the class {kind} come than are taken", _seconds(wait))
        if wait:
            self._counters["refused_over_rate"] += 1
            return NotNow(False, "more is sent than the caller's rate allows", _seconds(wait))
        for bucket, cost in costs:
            bucket.take(cost, now)
        if of_class is not None:
            of_class.take(1, now)
        return None


def _each(rate: float, least: float, seconds: float) -> Buckets[str] | None:
    return Buckets[str](rate, max(least, rate * seconds), CALLERS) if rate else None


def _seconds(wait: float) -> int:
    return max(1, ceil(wait))
