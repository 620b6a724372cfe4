"""From samples to figures: medians over the rounds, ratios taken inside each round, bars beside them."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from benchmarks.report import Bar, Figure
from benchmarks.rig.cells import BUSY, BUSY_SURE, DEEP, ONE, PACED, Sample, Samples

OURS, LIMIT, RIVAL = "rimward", "responder", "mosquitto+node-red"
Of = Callable[[Sample], float]


def p50(sample: Sample) -> float:
    return sample.p50


def p99(sample: Sample) -> float:
    return sample.p99


def rate(sample: Sample) -> float:
    return sample.rate / 1e3


def cpu(sample: Sample) -> float:
    return sample.cpu


def action_figures(samples: Samples) -> list[Figure]:
    """Return what the loads gave, with the bars that Rimward sets itself."""
    paced, one, busy = samples[PACED], samples[ONE], samples[BUSY]
    sure, deep = samples[BUSY_SURE], samples[DEEP]
    return [
        _value("p50, 64 devices, 5,000/s", "us", paced, p50),
        _ratio("p50, 64 devices, 5,000/s", RIVAL, paced, p50, Bar("<=", 0.6)),
        _value("p99, 64 devices, 5,000/s", "us", paced, p99),
        _ratio("p99, 64 devices, 5,000/s", RIVAL, paced, p99, Bar("<=", 0.4)),
        _value("throughput, 64 devices", "k/s", busy, rate),
        _ratio("throughput, 64 devices", RIVAL, busy, rate, Bar(">=", 2.0)),
        _value("CPU an event, 64 devices", "us", busy, cpu),
        _ratio("CPU an event, 64 devices", LIMIT, busy, cpu, Bar("<=", 2.0)),
        _value("CPU an event, QoS 1", "us", sure, cpu),
        _ratio("CPU an event, QoS 1", LIMIT, sure, cpu),
        _value("p50, one device in turn", "us", one, p50),
        _ratio("p50, one device in turn", RIVAL, one, p50),
        _value("p99, one device in turn", "us", one, p99),
        _ratio("p99, one device in turn", RIVAL, one, p99),
        _value("throughput, 8 in flight", "k/s", deep, rate),
        _value("CPU an event, 8 in flight", "us", deep, cpu),
    ]


def footprint_figures(ready: Sequence[float], idle: Sequence[Mapping[str, float]]) -> list[Figure]:
    """Return what the processes take to start and to keep."""
    io = [sizes["node"] for sizes in idle]
    node = [sum(sizes.get(name, 0.0) for name in ("supervisor", "node", "deep")) for sizes in idle]
    return [
        _of("I/O process ready (CONNACK)", "ms", ready, Bar("<=", 300)),
        _of("idle RSS, I/O process", "MB", io, Bar("<=", 60)),
        _of("idle RSS, node processes", "MB", node, Bar("<=", 110)),
    ]


def _of(name: str, unit: str, values: Sequence[float], bar: Bar) -> Figure:
    return Figure(name, median(values), unit, bar, (min(values), max(values)))


def _value(name: str, unit: str, by_server: Mapping[str, Sequence[Sample]], of: Of) -> Figure:
    values = [of(sample) for sample in by_server[OURS]]
    peers = {
        server: median(of(sample) for sample in samples)
        for server, samples in by_server.items()
        if server != OURS and samples
    }
    return Figure(name, median(values), unit, None, (min(values), max(values)), peers)


def _ratio(
    name: str, peer: str, by_server: Mapping[str, Sequence[Sample]], of: Of, bar: Bar | None = None
) -> Figure:
    pairs = zip(by_server[OURS], by_server.get(peer, ()), strict=False)
    ratios = [of(ours) / of(theirs) for ours, theirs in pairs]
    full = f"{name}, to {peer}"
    if not ratios:
        return Figure(full, None, "x", bar)
    return Figure(full, median(ratios), "x", bar, (min(ratios), max(ratios)))
