"""What a gateway adds to a message's transaction is kept with it, or not at all."""

from collections.abc import Sequence
from pathlib import Path

from rimward.edge.config import OutboxConfig
from rimward.edge.dispatch.types import Entry, Refusal, Reply
from rimward.edge.outbox import Outbox

from .bench import bench

FUNCTIONS = """
@app.edge(mqtt("t/{truck}"))
def guard(truck: str, reading: Reading, state: State[Truck]) -> float:
    state.value.count += 1
    if reading.celsius > 50:
        raise Reject("busy", "later")
    return reading.celsius
"""


class Asked:
    """A gateway that keeps the reply, and what it was told."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.told: list[tuple[Reply | None, Refusal | None]] = []

    def __call__(self, reply: Reply | None, refusal: Refusal | None) -> Sequence[Entry]:
        self.told.append((reply, refusal))
        return [("gateway", self.key, b"" if reply is None else reply.body)]


async def kept(tmp_path: Path) -> dict[str, bytes]:
    async with Outbox(tmp_path / "node", OutboxConfig(), int) as outbox:
        return outbox.load("gateway")


async def test_what_a_gateway_adds_is_committed_with_the_reply_and_the_state(tmp_path: Path) -> None:
    answered, nobody, wrong, later = Asked("answered"), Asked("nobody"), Asked("wrong"), Asked("later")
    async with bench(tmp_path, FUNCTIONS) as b:
        ticket = await b.message("t/7", {"celsius": 3}, commits=answered)
        assert ticket is not None
        assert ticket.refusal is None
        ticket = await b.message("no/function/listens", {}, commits=nobody)
        assert ticket is not None
        assert ticket.done
        refused = await b.message("t/7", {"celsius": "x"}, commits=wrong)
        assert refused is not None
        assert refused.refusal is not None
        assert wrong.told == [(None, refused.refusal)]
        busy = await b.message("t/7", {"celsius": 99}, commits=later)
        assert busy is not None
        assert busy.refusal is not None
        assert later.told == []
    assert await kept(tmp_path) == {"answered": b"3.0", "nobody": b"", "wrong": b""}


async def test_a_broken_disk_takes_nothing_that_a_gateway_adds(tmp_path: Path) -> None:
    asked = Asked("key")
    async with bench(tmp_path, FUNCTIONS) as b:
        b.outbox._broken = "outbox: the disk is gone"
        ticket = await b.message("t/7", {"celsius": 3}, commits=asked)
        assert ticket is not None
        assert ticket.refusal is not None
        assert ticket.refusal.kind == "full"
        b.outbox._broken = None
    assert await kept(tmp_path) == {}
