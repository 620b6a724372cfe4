"""Where a function's calls run may change while it runs: the fast lanes forget it."""

from pathlib import Path

import pytest

from rimward.edge.dispatch.asked import Asked
from rimward.edge.dispatch.payloads import BadPayloadError
from rimward.edge.dispatch.types import Sender

from .bench import bench

APP = """
@app.edge(mqtt("t/{truck}"))
def guard(truck: str, reading: Reading) -> None:
    app.publish(f"c/{truck}", b"")
@app.edge(http.post("/limit"))
def limit(reading: Reading) -> Reading:
    return reading
"""
CALLER = Sender("127.0.0.1", "http")


async def test_a_function_that_is_placed_elsewhere_is_on_no_fast_lane(tmp_path: Path) -> None:
    async with bench(tmp_path, APP) as b:
        await b.message("t/7", {"celsius": 9.5})
        assert "t/7" in b.dispatcher.board.lane
        b.dispatcher.place("guard", "process")
        await b.message("t/7", {"celsius": 9.5})
        assert b.dispatcher.functions["guard"].runs == "process"
        assert "t/7" not in b.dispatcher.board.lane
        b.dispatcher.place("guard", "inline")
        await b.message("t/7", {"celsius": 9.5})
        assert "t/7" in b.dispatcher.board.lane
        assert len(b.sent) == 3


async def test_a_lane_of_requests_that_was_given_out_is_shut_while_its_function_is_elsewhere(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, APP) as b:
        lane = Asked(b.dispatcher)
        key = ("POST", "/limit", "", None, None)
        ask = lane.known(*key)
        assert ask is not None
        now = b.dispatcher.clocks.monotonic
        ask(b'{"celsius":1}', CALLER, now())
        b.dispatcher.place("limit", "process")
        with pytest.raises(BadPayloadError):
            ask(b'{"celsius":1}', CALLER, now())
        assert lane.known(*key) is None
        b.dispatcher.place("limit", "inline")
        assert ask(b'{"celsius":1}', CALLER, now()) is not None
        assert lane.known(*key) is not None
