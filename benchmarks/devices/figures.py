"""From samples to figures: medians over the rounds, ratios taken inside each round, bars beside them."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from benchmarks.devices.crowds import Crowds, Fans
from benchmarks.devices.http import Answered
from benchmarks.report import Bar, Figure
from benchmarks.rig.cells import BUSY, BUSY_SURE, DEEP, ONE, Sample, Samples

PURE, COMPILED, LIMIT = "rimward", "compiled", "responder"
AEDES, NATS, PAHO, NODE_RED = "aedes", "nats+nats-py", "mosquitto+paho", "mosquitto+node-red"
PEERS: dict[str, tuple[float, float]] = {  # how much dearer an event is there: pure, compiled
    AEDES: (1.35, 1.5),
    NATS: (2.2, 2.2),
    PAHO: (4.0, 4.0),
    NODE_RED: (4.0, 4.0),
}
LIMITS: tuple[tuple[str, str, float, float], ...] = (  # by load: to the responder, pure and compiled
    (BUSY, "CPU an event, 64 devices", 2.0, 1.75),
    (BUSY_SURE, "CPU an event, 64 devices, QoS 1", 2.25, 1.9),
    (DEEP, "CPU an event, 8 in flight", 4.7, 3.2),
)

T = TypeVar("T")
ByServer = Mapping[str, Sequence[T]]


def event_figures(samples: Samples) -> list[Figure]:
    """Return what an event costs beside the C responder."""
    figures: list[Figure] = []
    for load, name, pure, compiled in LIMITS:
        cells = samples[load]
        figures.append(value(f"{name}", "us", cells, _cpu, PURE))
        figures.append(ratio(f"{name}, to {LIMIT}", cells, _cpu, (PURE, LIMIT), Bar("<=", pure)))
        figures.append(ratio(f"{name}, compiled", cells, _cpu, (COMPILED, LIMIT), Bar("<=", compiled)))
    one, busy = samples[ONE], samples[BUSY]
    return [
        *figures,
        value("p50, one device in turn", "us", one, _p50, PURE),
        ratio(f"p50, one device, to {LIMIT}", one, _p50, (PURE, LIMIT), Bar("<=", 1.3)),
        ratio("p50, one device, compiled", one, _p50, (COMPILED, LIMIT), Bar("<=", 1.3)),
        value("p99, 64 devices", "us", busy, _p99, PURE),
        value("p99.9, 64 devices", "us", busy, lambda sample: sample.result.p999 / 1e3, PURE),
    ]


def peer_figures(samples: Samples) -> list[Figure]:
    """Return how much dearer an event is at the peers, and how its slowest compare."""
    busy, sure, figures = samples[BUSY], samples[BUSY_SURE], list[Figure]()
    for peer, (pure, compiled) in PEERS.items():
        figures += [
            ratio(f"CPU an event: {peer} to us", busy, _cpu, (peer, PURE), Bar(">=", pure)),
            ratio(f"CPU an event: {peer} to compiled", busy, _cpu, (peer, COMPILED), Bar(">=", compiled)),
            ratio(f"CPU an event, QoS 1: {peer} to us", sure, _cpu, (peer, PURE)),
            ratio(f"p99: ours to {peer}", busy, _p99, (PURE, peer), Bar("<=", 1.0)),
        ]
    return figures


def crowd_figures(fans: ByServer[Fans], crowds: ByServer[Crowds]) -> list[Figure]:
    """Return what many connections cost."""
    rate, idle = _rate_of_fans, _idle
    most = max((one.most for one in crowds[PURE]), default=0)
    return [
        value("fan-out 1 to 1,000", "k copies/s", fans, rate, PURE),
        ratio("fan-out 1 to 1,000, to mosquitto", fans, rate, (PURE, "mosquitto"), Bar(">=", 0.5)),
        value(f"idle connection, 5,000 to {most:,}", "KiB", crowds, idle, PURE, Bar("<=", 5.0)),
        value("connections accepted", "k/s", crowds, lambda crowd: crowd.rate / 1e3, PURE, Bar(">=", 10.0)),
    ]


def web_figures(answers: ByServer[Answered]) -> list[Figure]:
    """Return what the HTTP function gave."""
    return [
        value("HTTP function", "k requests/s", answers, lambda one: one.rate / 1e3, PURE),
        ratio("HTTP requests/s, to workerd", answers, _rate, (PURE, "workerd"), Bar(">=", 3.0)),
        ratio("HTTP requests/s, to uvicorn", answers, _rate, (PURE, "uvicorn"), Bar(">=", 1.8)),
        value("HTTP p99", "us", answers, _slow, PURE),
        ratio("HTTP p99, to workerd", answers, _slow, (PURE, "workerd"), Bar("<=", 1.0)),
        ratio("HTTP p99, to uvicorn", answers, _slow, (PURE, "uvicorn")),
    ]


def value(
    name: str,
    unit: str,
    by_server: ByServer[T],
    of: Callable[[T], float],
    server: str,
    bar: Bar | None = None,
) -> Figure:
    """Return one server's own value, with the others' beside it."""
    values = [of(sample) for sample in by_server[server]]
    peers = {
        other: median(of(sample) for sample in samples)
        for other, samples in by_server.items()
        if other != server and samples
    }
    if not values:
        return Figure(name, None, unit, bar, peers=peers)
    return Figure(name, median(values), unit, bar, (min(values), max(values)), peers)


def ratio(
    name: str,
    by_server: ByServer[T],
    of: Callable[[T], float],
    servers: tuple[str, str],
    bar: Bar | None = None,
) -> Figure:
    """Return one server's value over another's, taken inside each round."""
    over, under = servers
    pairs = zip(by_server.get(over, ()), by_server.get(under, ()), strict=False)
    ratios = [of(one) / of(other) for one, other in pairs]
    if not ratios:
        return Figure(name, None, "x", bar)
    return Figure(name, median(ratios), "x", bar, (min(ratios), max(ratios)))


def _cpu(sample: Sample) -> float:
    return sample.cpu


def _p50(sample: Sample) -> float:
    return sample.p50


def _p99(sample: Sample) -> float:
    return sample.p99


def _rate_of_fans(fan: Fans) -> float:
    return fan.rate / 1e3


def _idle(crowd: Crowds) -> float:
    return crowd.idle / 1024


def _rate(answered: Answered) -> float:
    return answered.rate


def _slow(answered: Answered) -> float:
    return float(answered.p99)
