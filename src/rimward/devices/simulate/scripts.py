"""Devices 1..N of an app: each publishes, in turn, on every topic that the app's functions listen to."""

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from rimward.app.manifest import FunctionSpec, Manifest
from rimward.devices.replay.scripts import Script, Step
from rimward.devices.simulate.values import Values

TEXT = {"type": "string"}  # these two are sent as they are, not as JSON
BYTES = {"type": "string", "contentEncoding": "base64"}


class Example(NamedTuple):
    """One message that an app takes."""

    protocol: str  # "mqtt" or "http"
    method: str | None
    path: str  # topic or path
    payload: str | None


class Source(Struct, frozen=True):
    """One topic pattern with the payload of the first function that listens there."""

    spec: FunctionSpec

    def filled(self, device: int, seed: int) -> tuple[str, dict[str, str]]:
        """Return the topic of a device, and its captures."""
        path = self.spec.path or ""
        captures = {
            capture.name: _capture(capture.schema, capture.name, device if first else 1, seed)
            for first, capture in zip([True, *[False] * 99], self.spec.captures, strict=False)
        }
        for name, value in captures.items():
            path = path.replace(f"{{{name}}}", value).replace(f"{{{name}...}}", value)
        return path, captures


def sources(manifest: Manifest) -> list[Source]:
    """Return what an app's devices publish on: each topic pattern once."""
    found: dict[str, Source] = {}
    for spec in manifest.functions:
        if spec.protocol == "mqtt" and spec.path and spec.path not in found:
            found[spec.path] = Source(spec)
        elif spec.protocol == "mqtt" and spec.path and found[spec.path].spec.payload is None:
            found[spec.path] = Source(spec)  # one that says what it takes tells more
    return list(found.values())


def simulated(manifest: Manifest, devices: int, *, seed: int, rate: float = 1.0) -> list[Script]:
    """Return the scripts of devices 1..N, each with `rate` messages a second, spread over time."""
    kinds = sources(manifest)
    return [_script(kinds, device, seed, rate) for device in range(1, devices + 1)] if kinds else []


def example(manifest: Manifest, time: int) -> Example | None:
    """Return a message for the first function that a device can run, made at `time`, ns since the epoch."""
    for spec in manifest.functions:
        if spec.protocol is None or spec.path is None:
            continue
        path, captures = Source(spec).filled(1, 1)
        payload = None
        if spec.payload is not None:
            data = _encode(Values(spec.payload, "1/example", captures).make(0, time), spec.payload)
            is_json = spec.payload not in (TEXT, BYTES)
            payload = (msgspec.json.format(data, indent=0) if is_json else data).decode()
        elif spec.protocol == "mqtt":
            payload = "{}"
        return Example(spec.protocol, spec.method, path, payload)
    return None


def _script(kinds: list[Source], device: int, seed: int, rate: float) -> Script:
    phase = Random(f"{seed}/{device}/phase").random()  # noqa: S311 (spreads devices; nothing secret)

    def steps(start: int) -> Iterator[Step]:
        made: list[tuple[str, dict[str, Any] | None, Values]] = []
        for source in kinds:
            topic, captures = source.filled(device, seed)
            schema = source.spec.payload
            made.append((topic, schema, Values(schema or {}, f"{seed}/{device}/{topic}", captures)))
        n = 0
        while True:
            topic, schema, values = made[n % len(made)]
            at = (n + phase) / rate
            value = values.make(n // len(made), start + round(at * 1e9))
            yield Step(at, topic, _encode(value, schema), None)
            n += 1

    return Script(str(device), steps)


def _encode(value: Any, schema: dict[str, Any] | None) -> bytes:
    return str(value).encode() if schema in (TEXT, BYTES) else msgspec.json.encode(value)


def _capture(schema: dict[str, Any], name: str, number: int, seed: int) -> str:
    """Return a capture's text: the device's number where the type takes it."""
    if schema.get("format") == "uuid" or "enum" in schema or "$ref" in schema:
        if "enum" in (
            inner := schema.get("$defs", {}).get(schema.get("$ref", "").rpartition("/")[2], schema)
        ):
            return str(inner["enum"][(number - 1) % len(inner["enum"])])
        return str(Values(schema, f"{seed}/{name}/{number}", {}).make(0, 0))
    return str(number)
