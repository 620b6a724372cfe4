"""The benchmark of the devices' door: its own load clients, and how figures are made of samples."""

import io
import json
from contextlib import redirect_stdout

from benchmarks.devices.crowds import Crowds, Fans
from benchmarks.devices.figures import PEERS, crowd_figures, event_figures, peer_figures, web_figures
from benchmarks.devices.http import Answered
from benchmarks.devices.inside import telemetry_us
from benchmarks.devices.machine import machine
from benchmarks.parts.__main__ import figures_of
from benchmarks.parts.measuring import pure_parts
from benchmarks.report import print_json
from benchmarks.rig.cells import BUSY, BUSY_SURE, DEEP, ONE, Sample, Samples
from benchmarks.rig.native import Result, crowd
from benchmarks.rig.servers import responder


def cell(cpu: float, us: int = 100) -> list[Sample]:
    return [Sample(Result(1000, 1.0, us * 1000, us * 2000, us * 3000, 0, 0), cpu)] * 4


def samples() -> Samples:
    ours = {"rimward": cell(9.0), "compiled": cell(8.0), "responder": cell(5.0, 50)}
    peers = {name: cell(27.0, 400) for name in PEERS}
    return {BUSY: {**ours, **peers}, BUSY_SURE: {**ours, **peers}, DEEP: ours, ONE: ours}


def test_the_crowd_connects_all_and_tells_how_long_it_took() -> None:
    with responder() as server, crowd(server.port, 200, 16) as came:
        assert came.connections == 200
        assert came.seconds > 0


def test_each_load_has_a_bar_for_the_pure_and_for_the_compiled_package() -> None:
    figures = {figure.name: figure for figure in event_figures(samples())}
    pure, compiled = (
        figures["CPU an event, 64 devices, to responder"],
        figures["CPU an event, 64 devices, compiled"],
    )
    assert (pure.value, pure.met) == (1.8, True)
    assert (compiled.value, compiled.met) == (1.6, True)
    assert figures["p50, one device, to responder"].met is False
    assert figures["p99.9, 64 devices"].bar is None


def test_peers_are_dearer_by_their_cpu_and_slower_by_their_p99() -> None:
    figures = {figure.name: figure for figure in peer_figures(samples())}
    for peer in PEERS:
        assert figures[f"CPU an event: {peer} to us"].value == 3.0
        assert figures[f"p99: ours to {peer}"].value == 0.25


def test_what_was_not_measured_meets_no_bar() -> None:
    nothing = crowd_figures({"rimward": [], "mosquitto": []}, {"rimward": [], "mosquitto": []})
    assert [figure.met for figure in nothing if figure.bar is not None] == [False] * 3
    some = crowd_figures(
        {"rimward": [Fans(5e5, 1.0)], "mosquitto": [Fans(6e5, 1.0)]},
        {"rimward": [Crowds(15_000, 11e3, 2048.0)]},
    )
    assert [figure.met for figure in some if figure.bar is not None] == [True] * 3
    answers = {"rimward": [Answered(3000, 1.0, 10, 20, 0)], "workerd": [Answered(1000, 1.0, 10, 40, 0)]}
    assert [figure.met for figure in web_figures(answers) if figure.bar is not None] == [True, False, True]


def test_the_machine_and_what_ran_are_told() -> None:
    told = machine()
    assert "CPUs" in told["machine"]
    assert "uvloop" in told["packages"]
    assert "aedes" in told["npm"]


def test_parts_are_told_in_ns_with_the_compiled_ones_beside_them() -> None:
    parts = pure_parts()
    assert all(ns > 0 for ns in (*parts.values(), *telemetry_us(1)))
    out = io.StringIO()
    with redirect_stdout(out):
        print_json(figures_of({"pure": [parts], "compiled": [parts]}), out)
    line = json.loads(out.getvalue().splitlines()[0])
    assert line["peers"]["compiled"] == line["value"]
