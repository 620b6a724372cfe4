"""Idempotency keys on a real node: one effect and one answer, also over a restart."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from rimward.edge.dispatch.types import Refusal, Reply
from rimward.edge.gateways.http import HttpConfig
from rimward.edge.gateways.http.keys import Keys, Turn
from rimward.protocols.http import HttpRequest

from .web_house import open_web

FUNCTIONS = """
doors = asyncio.Event()
runs = []


@app.edge(http.post("/rooms/{room}/visits"))
def visit(room: str, state: State[Room]) -> Reply[dict[str, int]]:
    state.value.count += 1
    app.forward(Order(state.value.count))
    return Reply({"visits": state.value.count}, status=201, headers={"location": f"/rooms/{room}"})


@app.edge(http.post("/orders"))
def order(wanted: Order) -> None:
    runs.append(wanted.number)
    if wanted.number < 0:
        raise Reject("conflict", f"run {len(runs)}")
    if wanted.number == 0:
        raise RuntimeError("zero")


@app.edge(http.post("/slow"))
async def slow() -> str:
    await doors.wait()
    return "done"


@app.edge(http.post("/open"))
def let_in() -> None:
    doors.set()


@app.edge(http.get("/runs"))
def how_many() -> int:
    return len(runs)
"""
KEY = 'Idempotency-Key: "8e03978e-40d5-43dd-bc93-6894a57f9324"'


async def test_a_request_with_a_key_is_carried_out_once_also_over_a_restart(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        status, first, body = await web.call("POST", "/rooms/a/visits", KEY)
        assert (status, first["location"], body) == (201, "/rooms/a", b'{"visits":1}')
        assert "idempotent-replayed" not in first
        again = await web.call("POST", "/rooms/a/visits", KEY)
        assert (again[0], again[1]["location"], again[2]) == (201, "/rooms/a", body)
        assert again[1]["idempotent-replayed"] == "true"
    async with open_web(tmp_path, FUNCTIONS) as web:  # the state and the key were one transaction
        after = await web.call("POST", "/rooms/a/visits", KEY)
        assert (after[0], after[2], after[1]["idempotent-replayed"]) == (201, body, "true")
        other = await web.call("POST", "/rooms/a/visits", "Idempotency-Key: another")
        assert other[2] == b'{"visits":2}'
        assert web.node.http.stats()["keys"] == 2
        assert web.node.http.stats()["keys_replayed"] == 1


async def test_a_key_is_of_one_request(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        assert (await web.call("POST", "/orders", KEY, body=b'{"number": 1}'))[0] == 204
        assert (await web.call("POST", "/orders", KEY, body=b'{"number": 2}'))[0] == 422
        assert (await web.call("POST", "/rooms/a/visits", KEY, body=b'{"number": 1}'))[0] == 422
        assert (await web.call("POST", "/orders", KEY, body=b'{"number": 1}'))[0] == 204
        assert (await web.call("GET", "/runs", KEY))[2] == b"1"


async def test_what_was_refused_or_failed_may_be_tried_again_with_its_key(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        for run in (1, 2):
            status, _, body = await web.call("POST", "/orders", KEY, body=b'{"number": -1}')
            assert (status, f"run {run}".encode() in body) == (409, True)
        assert (await web.call("POST", "/orders", KEY, body=b'{"number": 0}'))[0] == 500
        assert (await web.call("POST", "/orders", KEY, body=b'{"number": "x"}'))[0] == 422
        assert (await web.call("POST", "/orders", KEY, body=b'{"number": 5}'))[0] == 204


async def test_a_second_request_is_told_that_the_first_is_being_served(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        first = asyncio.create_task(web.call("POST", "/slow", KEY))
        await web.until(lambda: bool(web.node.http.asker.keys._running))
        status, headers, _ = await web.call("POST", "/slow", KEY)
        assert (status, headers["retry-after"]) == (409, "1")
        assert (await web.call("POST", "/slow", KEY, body=b"other"))[0] == 422
        await web.call("POST", "/open")
        assert (await first)[2] == b"done"
        assert (await web.call("POST", "/slow", KEY))[1]["idempotent-replayed"] == "true"


async def test_a_key_must_be_plain_and_short(tmp_path: Path) -> None:
    async with open_web(tmp_path, FUNCTIONS) as web:
        for key in ("", "a b", "x" * 256, "\u00e9"):
            assert (await web.call("POST", "/orders", f"Idempotency-Key: {key}", body=b"{}"))[0] == 400


# -- bounds; the keys themselves, with a clock that the test moves


class Shelf:
    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def load(self, space: str) -> dict[str, bytes]:
        return {}

    def forget(self, space: str, keys: Iterable[str]) -> None:
        self.forgotten += keys


class Rig:
    def __init__(self, config: HttpConfig) -> None:
        self.now = 0
        self.shelf = Shelf()
        self.keys = Keys(config, self.shelf, lambda: self.now)

    def send(self, key: str, sender: str = "a", reply: Reply | None = None) -> Reply | None:
        request = HttpRequest("POST", "/x", "", {"idempotency-key": key}, 1, keep_alive=True)
        turn = self.keys.take(request, sender, b"")
        if not isinstance(turn, Turn):
            return turn
        assert turn.commits(None, Refusal("invalid", "")) == ()
        turn.commits(reply, None)
        turn.ended(True)
        return None


@pytest.mark.parametrize(
    "config", [HttpConfig(max_keys=2), HttpConfig(max_keys_of_one=2), HttpConfig(max_key_bytes=401)]
)
def test_keys_that_find_no_room_are_refused_and_none_is_forgotten_early(config: HttpConfig) -> None:
    rig = Rig(config)
    assert [rig.send(str(n), reply=Reply(b"x")) for n in range(2)] == [None, None]
    refused = rig.send("3")
    assert refused is not None
    assert refused.status == 503
    replayed = rig.send("0")
    assert replayed is not None
    assert replayed.body == b"x"
    assert rig.keys.counters == {"keys_replayed": 1, "keys_refused": 1}


def test_keys_of_one_caller_leave_room_for_others_and_mean_nothing_to_them() -> None:
    rig = Rig(HttpConfig(max_keys_of_one=1))
    assert rig.send("0") is None
    assert rig.send("1") is not None
    assert rig.send("0", sender="b") is None


def test_keys_are_forgotten_after_their_time_on_disk_too() -> None:
    rig = Rig(HttpConfig(keep_keys=10.0))
    assert rig.send("0") is None
    rig.now = 10_000_000_001
    rig.keys.expire()
    assert (len(rig.keys), rig.keys.bytes, len(rig.shelf.forgotten)) == (0, 0, 1)
    assert rig.send("0") is None
