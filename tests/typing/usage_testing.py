"""The test kit as a strict user meets it: nothing here is reported by basedpyright or mypy."""

import datetime as dt
from typing import Any, assert_type

from msgspec import Struct

from rimward import App, Lake, State
from rimward.testing import Ack, Captured, DeadLetter, Device, Inbox, Received, Response, Site, effects, state

app = App("typed-tests", compat="2026-11-01")


@app.fact
class Weighed(Struct):
    grams: int


class Count(Struct):
    parts: int = 0


def test_a_unit() -> None:
    with effects(app, now=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) as fx:
        assert_type(fx, Captured)
    assert_type(state(Count), State[Count])
    assert_type(state(Count(3), key="7"), State[Count])
    assert_type(state(Count).value.parts, int)


async def test_a_site() -> None:
    async with Site(app, seed=7) as site:
        assert_type(site, Site)
        assert_type(site.rows(Weighed), list[Weighed])
        assert_type(site.lake, Lake)
        assert_type(site.inbox("a/#"), Inbox[Any])
        assert_type(site.inbox("a/#", Count).last, Count)
        device = site.device("d", protocol="mqtt3", keep_alive="60s")
        assert_type(device, Device)
        assert_type(await device.publish("a", {"parts": 1}, qos=1), Ack)
        assert_type(await device.request("a"), Received)
        assert_type(await device.subscribe("a", dict[str, int]).next(), dict[str, int])
        answer = await site.http.post("/parts", Count(1))
        assert_type(answer, Response)
        assert_type(answer.json(Count), Count)
        assert_type(answer.json(), Any)
        assert_type(site.ledger.of(Weighed).stored, int)
        assert_type(site.ledger.balanced(), bool)
        assert_type(site.errors, list[BaseException])
        assert_type(site.dead_letters, list[DeadLetter])
        assert_type(site.now, dt.datetime)
        site.uplink.down()
        await site.advance(dt.timedelta(hours=1))
        await site.advance("1h")
        await site.kill9()
        await site.settle()
