"""A Site's CoAP caller, on the real gateway."""

from msgspec import Struct

from rimward import App, State, coap
from rimward.testing import Site

app = App("meters", compat="2026-11-01")


class Reading(Struct):
    kwh: float


@app.state(key="meter", durable=True)
class Meter(Struct):
    kwh: float = 0.0


@app.edge(coap.get("meters/{meter}"))
def read(state: State[Meter]) -> Meter:
    return state.value


@app.edge(coap.post("meters/{meter}"))
def count(reading: Reading, state: State[Meter]) -> Meter:
    state.value.kwh += reading.kwh
    return state.value


@app.edge(coap.post("echo"))
def echo(body: bytes) -> bytes:
    return body


async def test_a_caller_gets_what_the_function_returns() -> None:
    async with Site(app) as site:
        answer = await site.coap.post("/meters/7", {"kwh": 2.5})
        assert (answer.code, answer.json(Meter)) == ("2.04", Meter(2.5))
        assert (await site.coap.get("/meters/7", accept=60)).format == 60
        assert (await site.coap.put("/meters/7")).code == "4.05"
        assert (await site.coap.delete("/nothing")).text == "no function serves this path"


async def test_a_large_body_goes_in_blocks_both_ways() -> None:
    async with Site(app) as site:
        assert (await site.coap.post("/echo", b"x" * 5000)).body == b"x" * 5000


async def test_an_observer_hears_what_has_changed_and_state_survives_a_kill() -> None:
    async with Site(app) as site:
        watching = await site.coap.observe("/meters/7")
        assert watching.first.json(Meter) == Meter(0.0)
        await site.coap.post("/meters/7", {"kwh": 2.5})
        await site.settle()
        assert [one.json(Meter) for one in watching.all] == [Meter(2.5)]
        await site.kill9()
        assert (await site.coap.get("/meters/7")).json(Meter) == Meter(2.5)


async def test_days_pass_with_an_observer_that_acknowledges() -> None:
    async with Site(app) as site:
        watching = await site.coap.observe("/meters/7")
        for _ in range(3):
            await site.advance("24h")
            await site.coap.post("/meters/7", {"kwh": 1})
        await site.settle()
        assert [one.json(Meter).kwh for one in watching.all] == [1.0, 2.0, 3.0]
