"""Who may ask and observe over CoAP, by an access file: asked at each request and at each delivery."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rimward.edge.access import Access, Patterns
from rimward.edge.access.book import Book
from rimward.edge.access.file import parse
from rimward.edge.access.tokens import Tokens
from rimward.edge.gateways.coap import CoapConfig
from rimward.edge.gateways.coap.callers import Callers
from rimward.protocols.coap import dotted
from rimward.protocols.coap.codes import GET, PUT

from .coap_house import House, coap_house, numbers

RULE = """
[[rule]]
anyone = true
request = ["GET /meters/+", "PUT /meters/7"]
observe = ["/meters/7"]
"""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with coap_house(tmp_path, CoapConfig()) as house:
        yield house


def book_of(text: str) -> Book:
    file = Path("access.toml")
    return Book(parse(text, str(file)), Patterns(), Tokens((), file, lambda: 0))


def guard(house: House) -> Access:
    """Put an access file before the gateway."""
    access = Access(book_of(RULE), house.clock)
    callers = Callers(access)
    house.gateway.serving.callers = callers
    house.gateway.serving.observing._callers = callers
    return access


async def test_what_no_rule_allows_is_unauthorized(house: House) -> None:
    guard(house)
    for code, path, answer in (
        (GET, "meters/7", "2.05"), (PUT, "meters/7", "2.04"), (PUT, "meters/8", "4.01"), (GET, "who", "4.01"),
        (GET, ".well-known/core", "4.01"),
    ):  # fmt: skip
        assert dotted((await house.call(code, path, b'{"kwh": 1}' if code == PUT else b"")).code) == answer
    assert house.bench.dispatcher.functions["who"].figures.calls == 0


async def test_what_may_be_read_may_not_always_be_observed(house: House) -> None:
    guard(house)
    assert 6 in numbers((await house.observe("meters/7")).options)
    refused = await house.observe("meters/8", b"8")
    assert (dotted(refused.code), refused.payload) == (
        "4.01",
        b"an anonymous caller may not observe /meters/8",
    )


async def test_a_rule_that_is_taken_away_ends_an_observation_at_its_next_delivery(house: House) -> None:
    access = guard(house)
    await house.observe("meters/7")
    await house.call(PUT, "meters/7", b'{"kwh": 1}')
    assert [one.payload for one in await house.turn()] == [b'{"kwh":1.0}']
    access.replace(book_of(RULE.replace('observe = ["/meters/7"]', "")))
    await house.call(PUT, "meters/7", b'{"kwh": 2}')
    [goodbye] = await house.turn()
    assert (dotted(goodbye.code), b"2.0" in goodbye.payload) == ("4.01", False)
    assert house.gateway.stats()["observers"] == 0
