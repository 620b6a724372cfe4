"""The app that the benchmark of functions runs."""

import time

from msgspec import Struct

from rimward import App, mqtt

app = App("functions", compat="2026-11-01")


class Reading(Struct):
    celsius: float


@app.edge(mqtt("near/{device}"), run="inline")
def near(device: str, reading: Reading) -> None:
    """Do what a plain function does, and leave nothing."""


@app.edge(mqtt("far/{device}"), run="process")
def far(device: str, reading: Reading) -> None:
    """Do the same in a process of its own."""


@app.edge(mqtt("slow/{device}"), run="process")
def slow(device: str, reading: Reading) -> None:
    """Compute for 5 ms."""
    del device, reading
    end = time.perf_counter() + 0.005
    while time.perf_counter() < end:
        pass


@app.edge(mqtt("ever/{device}"), run="process", limit="1s")
def ever(device: str, reading: Reading) -> None:
    """Never end."""
    del device, reading
    while True:
        pass
