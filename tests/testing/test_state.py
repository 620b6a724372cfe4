"""State in a Site: what can't be kept fails its call, and nothing of the call is."""

from rimward.testing import Site

from .boilers import Fired, app

NOTHING: dict[str, object] = {"fired": 0, "bar": 0.0, "blinks": 0, "valves": {}}
REFUSED = {
    ("fired", "huge"): "state Boiler: fired is a whole number of 65 bits, at most 64 are kept",
    ("fired", "text"): "state Boiler: Expected `int`, got `str` - at `$.fired`",
    ("bar", "negative"): "state Boiler: Expected `float` >= 0.0 - at `$.bar`",
    (
        "notes",
        "surrogate",
    ): "state Boiler: notes[0] is text of 1 characters with a surrogate, which is not Unicode",
    (
        "notes",
        "object",
    ): "state Boiler: notes[0] is of the type object; use types that JSON can hold",
    ("notes", "loop"): "state Boiler: notes[0][0] is part of itself, or too deep to be written out",
    ("valve", "huge"): "state Boiler: valves[…][1].label is a whole number of 65 bits, at most 64 are kept",
    ("valve", "right"): "state Boiler: Expected `str`, got `int` - at `$.valves[...][1].label`",
    ("blinks", "huge"): "state Lamp: blinks is a whole number of 65 bits, at most 64 are kept",
}


async def test_a_call_that_leaves_what_can_not_be_kept_fails_and_leaves_nothing() -> None:
    async with Site(app) as site:
        left, boiler = site.inbox("boilers/7/left"), site.device("7")
        for field, value in REFUSED:
            ack = await boiler.publish("boilers/7/set", {"field": field, "value": value}, qos=1)
            assert (ack.code, ack.reason) == (0x83, "leave raised StateInvalid")
        details = [one.detail.rpartition(" at ")[0] for one in site.dead_letters]
        assert details == [f"StateInvalid: {why}" for why in REFUSED.values()]
        assert left.all == []
        assert (await site.http.get("/boilers/7")).json() == NOTHING
        await site.kill9()
        assert (await site.http.get("/boilers/7")).json() == NOTHING
        await site.settle()
        assert site.rows(Fired) == []


async def test_a_value_that_can_be_kept_is_also_after_a_kill() -> None:
    async with Site(app) as site:
        ack = await site.device("7").publish("boilers/7/set", {"field": "bar", "value": "right"}, qos=1)
        assert ack.code == 0
        await site.kill9()
        assert (await site.http.get("/boilers/7")).json() == NOTHING | {"fired": 1, "bar": 7.0}


async def test_what_a_function_holds_on_to_is_not_what_is_committed() -> None:
    async with Site(app) as site:
        await site.device("7").publish("boilers/7/turn", b"once", qos=1)
        await site.device("7").publish("boilers/7/turn", b"again", qos=1)
        assert (await site.http.get("/boilers/7")).json()["valves"] == {"main": [1]}
