"""The C programs: built from this folder's sources when they are newer than what is built."""

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

from benchmarks.rig.processes import CLIENT_CPU, BenchError, line_of, process

HERE = Path(__file__).parent
PEERS = HERE.parent / ".peers"
SOURCES = HERE / "native"
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror")


class Load(Struct, frozen=True):
    """What the devices do."""

    connections: int
    in_flight: int  # readings under way per connection; no matter in the open loop
    qos: int
    rate: int  # readings a second of the open loop; 0 for the closed loop
    warm_ms: int
    measure_ms: int
    acknowledged: bool = False  # what comes back is the PUBACK, and no command


class Result(Struct, frozen=True):
    """What they saw; times in ns."""

    events: int
    seconds: float
    p50: int
    p99: int
    p999: int
    max: int
    lost: int


@cache
def build(name: str) -> Path:
    """Return the program's path, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchError("no C compiler: ask your administrator for 'apt-get install gcc libc6-dev'")
    program = PEERS / "native" / name
    sources = [SOURCES / f"{name}.c", SOURCES / "mqtt.h"]
    if not program.exists() or program.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, *FLAGS, "-o", program, sources[0]], check=True)
    return program


@cache
def library(name: str) -> Path:
    """Return the path of a library to preload, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchError("no C compiler: ask your administrator for 'apt-get install gcc libc6-dev'")
    built, source = PEERS / "native" / f"{name}.so", SOURCES / f"{name}.c"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        built.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, *FLAGS, "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True)
    return built


class Devices:
    """A run of the load client; `begin` returns when the warm-up is over, `finish` with the result."""

    def __init__(self, port: int, load: Load, log: int | None = None) -> None:
        self._load = load
        numbers = (port, load.connections, load.in_flight, load.qos, load.rate, load.warm_ms, load.measure_ms)
        numbers += (int(load.acknowledged),)
        self._running = process([build("load"), *map(str, numbers)], cpu=CLIENT_CPU, log=log)

    def __enter__(self) -> Self:
        self._child = self._running.__enter__()
        return self

    def begin(self) -> None:
        """Wait for the end of the warm-up."""
        line_of(self._child, 20 + self._load.warm_ms / 1e3)

    def finish(self) -> Result:
        """Wait for the end of the measurement."""
        line = line_of(self._child, 20 + self._load.measure_ms / 1e3)
        return msgspec.json.decode(line, type=Result)

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(None, None, None)


class Fan(Struct, frozen=True):
    """What the subscribers of one publisher saw."""

    copies: int
    seconds: float


class Fanned:
    """A run of one publisher and many subscribers, used as `Devices` is."""

    def __init__(self, port: int, subscribers: int, warm_ms: int, measure_ms: int) -> None:
        self._milliseconds = warm_ms + measure_ms
        numbers = (port, subscribers, warm_ms, measure_ms)
        self._running = process([build("fan"), *map(str, numbers)], cpu=CLIENT_CPU, log=None)

    def __enter__(self) -> Self:
        self._child = self._running.__enter__()
        return self

    def begin(self) -> None:
        """Wait for the end of the warm-up."""
        line_of(self._child, 20 + self._milliseconds / 1e3)

    def finish(self) -> Fan:
        """Wait for the end of the measurement."""
        return msgspec.json.decode(line_of(self._child, 20 + self._milliseconds / 1e3), type=Fan)

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(None, None, None)


class Crowd(Struct, frozen=True):
    """How long many devices took to connect."""

    connections: int
    seconds: float


@contextmanager
def crowd(port: int, connections: int, at_once: int) -> Generator[Crowd]:
    """Connect many devices that then say nothing, and keep them as long as the block lasts."""
    command = [build("crowd"), str(port), str(connections), str(at_once)]
    with process(command, cpu=CLIENT_CPU, log=None, wait_for_end=True) as child:
        yield msgspec.json.decode(line_of(child, 120), type=Crowd)


def drive(port: int, load: Load, log: int | None = None) -> Result:
    """Run the devices from start to end."""
    with Devices(port, load, log) as devices:
        devices.begin()
        return devices.finish()
