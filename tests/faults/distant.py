# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# (deltalake ships partial types)
"""A node and its hub in namespaces of their own, with a link between them that can be anything."""

import http.client
import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from deltalake import DeltaTable
from tests.e2e.apart import Hub, Node
from tests.e2e.running import PATIENCE

from rimward.edge.joining import join
from rimward.lab.emulator import Direction, Emulator

APP = """\
from msgspec import Struct
from rimward import App, http

app = App("distant", compat="2026-11-01")


class Count(Struct):
    n: int


@app.fact
class Counted(Struct):
    n: int
    text: str


@app.edge(http.post("/count"))
def count(given: Count) -> int:
    app.forward(Counted(given.n, f"row number {given.n}"))
    return given.n
"""
EDGE, CLOUD = "edge", "cloud"
BAD = Direction(delay=0.3, loss=0.3, rate=64_000)  # a round trip of 600 ms


class Distant:
    """A node that sends its hub what it acknowledges, over a link that gets worse."""

    def __init__(self, root: Path, seed: int) -> None:
        self._root = root
        self._app = root / "app.py"
        self._app.write_text(APP)
        self.lab = Emulator((EDGE, CLOUD), seed=seed)
        self._stack = ExitStack()
        self.acknowledged: list[int] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            lab = stack.enter_context(self.lab)
            hub = Hub(self._app, self._root / "hub", listen=f"{lab.address(CLOUD)}:0")
            hub._arguments = lab.command(CLOUD, hub._arguments)
            stack.enter_context(hub)
            string, data = hub.join_string(), self._root / EDGE
            lab.inside(EDGE, lambda: join(string, EDGE, data))
            node = Node(self._app, data)
            node._arguments = lab.command(EDGE, node._arguments)
            self._node = stack.enter_context(node)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, count: int) -> None:
        """Send so many more rows; those that the node acknowledges are noted."""
        first = len(self.acknowledged)

        def run() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self._node.ready["http"], timeout=PATIENCE)
            for n in range(first, first + count):
                connection.request(
                    "POST", "/count", json.dumps({"n": n}), {"content-type": "application/json"}
                )
                response = connection.getresponse()
                response.read()
                assert response.status == 200
                self.acknowledged.append(n)
            connection.close()

        self.lab.inside(EDGE, run)

    def rows(self) -> Counter[int]:
        """Return how often each number is in the lake."""
        path = str(self._root / "hub" / "lake" / "counted")
        if not DeltaTable.is_deltatable(path):
            return Counter()
        return Counter(DeltaTable(path).to_pyarrow_table(columns=["n"])["n"].to_pylist())

    def arrived(self) -> bool:
        """Tell whether what was acknowledged is in the lake exactly once.

        Raises:
            AssertionError: a row is there twice, or was never sent.
        """
        rows = self.rows()
        assert set(rows) <= set(self.acknowledged)
        assert not [n for n, times in rows.items() if times > 1], "a row is there twice"
        return set(rows) == set(self.acknowledged)
