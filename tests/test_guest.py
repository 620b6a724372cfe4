"""What a module in WebAssembly finds: the same file on the node's side and in the component."""

import datetime as dt
import json
import subprocess
import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from rimward import guest


@dataclass
class Inner:
    at: dt.datetime


@dataclass
class Reading:
    celsius: float
    inner: list[Inner]
    note: str = ""
    last: Inner | None = None


def judge(truck: str, reading: Reading, frame: bytes = b"") -> dict[str, Any]:
    guest.publish("a", {"n": 1})
    guest.publish("b", "text", qos=1, retain=True)
    guest.publish("c", frame)
    guest.publish("d")
    guest.forward("Warm", truck=truck, celsius=reading.celsius)
    return {"year": reading.inner[0].at.year, "now": guest.now(), "note": reading.note}


def reject() -> None:
    raise guest.Reject("denied", "no")


def fail() -> None:
    guest.publish("a")
    raise ValueError("wrong")


def dressed() -> guest.Reply:
    return guest.Reply("made", 201, {"X-A": "b"})


def nan() -> float:
    return float("nan")


def called(function: str, **arguments: Any) -> Any:
    module = types.ModuleType("rules")
    module.__file__ = __file__
    for one in (judge, reject, fail, dressed, nan):
        setattr(module, one.__name__, one)
    served = guest.serve(module)()
    request = {"function": function, "now": 1_000_000_000, "arguments": arguments}
    return json.loads(served.call(json.dumps(request)))


def test_a_call_returns_its_answer_and_its_effects() -> None:
    reading = {"celsius": 9.5, "inner": [{"at": "2026-11-26T08:00:00+00:00"}], "more": 1, "last": None}
    assert called("judge", truck="7", reading=reading, frame="AAE=") == {
        "json": {"year": 2026, "now": "1970-01-01T00:00:01+00:00", "note": ""},
        "publish": [
            {"topic": "a", "json": {"n": 1}},
            {"topic": "b", "text": "text", "qos": 1, "retain": True},
            {"topic": "c", "base64": "AAE="},
            {"topic": "d"},
        ],
        "forward": [{"fact": "Warm", "row": {"truck": "7", "celsius": 9.5}}],
    }


def test_a_call_that_raises_leaves_nothing_and_says_where() -> None:
    assert called("reject") == {"reject": {"code": "denied", "detail": "no"}}
    error = called("fail")["error"]
    assert (error["type"], error["text"]) == ("ValueError", "wrong")
    assert error["place"].startswith("test_guest.py:")
    assert called("nan")["error"]["type"] == "ValueError"
    assert called("dressed") == {"status": 201, "headers": {"X-A": "b"}, "text": "made"}


def test_effects_outside_a_call_are_refused() -> None:
    with pytest.raises(RuntimeError, match="outside a call"):
        guest.publish("a")


def test_it_stands_on_the_standard_library_alone() -> None:
    code = "import sys; b = set(sys.modules); exec(open(sys.argv[1]).read()); print(*(set(sys.modules) - b))"
    command = [sys.executable, "-I", "-c", code, str(guest.__file__)]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert {name.partition(".")[0] for name in loaded} <= sys.stdlib_module_names
