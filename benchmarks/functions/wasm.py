"""A Python function in WebAssembly, measured where its worker calls it: a warm call, and a fresh instance."""

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.report import Bar, Figure, single
from rimward.app.effects import current
from rimward.app.wasm import Component
from rimward.edge.functions.calls import FarEffects
from rimward.edge.functions.wasm.cache import Cache, user_folder
from rimward.edge.functions.wasm.cage import Cage, Limits
from rimward.edge.functions.wasm.making import make_now

PAGE = Path(__file__).parents[2] / "docs/howto/wasm.md"  # whose module the tests build too
LIMITS = Limits(64 << 20, 1_000_000_000)
CALLS = 2000
INSTANCES = 50


def figures(rounds: int = 3) -> list[Figure]:
    """Measure both; the component is built where it is not yet."""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "rules.py"
        module.write_text(PAGE.read_text().partition("```python\n")[2].partition("```")[0])
        path = make_now(Component(str(module), "module"), Cache(user_folder()))
    cage = Cage("judge", ("truck", "reading"), {}, LIMITS, print)
    cage.open(path)
    token = current.set(FarEffects({}, 0, time.time_ns))
    try:
        warm = [_warm(cage) for _ in range(rounds)]
        fresh = [_fresh(cage) for _ in range(rounds)]
    finally:
        current.reset(token)
        cage.close()
    return [
        single("wasm: warm call p50, in its worker", "µs", warm, Bar("<=", 50)),
        single("wasm: fresh instance and its first call p50", "ms", fresh, Bar("<=", 5)),
    ]


def _call(cage: Cage) -> int:
    begun = time.perf_counter_ns()
    cage.call("7", {"celsius": 3.5, "note": ""})
    return time.perf_counter_ns() - begun


def _warm(cage: Cage) -> float:
    return median(_call(cage) for _ in range(CALLS)) / 1e3


def _fresh(cage: Cage) -> float:
    times: list[int] = []
    for _ in range(INSTANCES):
        cage.renew()
        times.append(_call(cage))
    return median(times) / 1e6
