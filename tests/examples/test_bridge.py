"""The bridge: a POST is published as it is, or refused with the reason."""

import pytest
from examples.bridge.app import Bridged, Published, app

from rimward.testing import Site


async def test_what_is_posted_is_published_and_noted() -> None:
    async with Site(app) as site:
        display = site.inbox("displays/#")
        answer = await site.http.post("/publish/displays/hall/left?qos=1", "Gate 7 is open")
        assert answer.status == 202
        assert answer.json(Published) == Published("displays/hall/left", 14)
        (message,) = display.messages
        assert (message.topic, message.payload, message.qos) == ("displays/hall/left", b"Gate 7 is open", 1)
        await site.settle()
        assert [(row.topic, row.size) for row in site.rows(Bridged)] == [("displays/hall/left", 14)]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/publish/engines/7/stop", 403, "topics are displays/ and lamps/, not engines/7/stop"),
        ("/publish/lamps/7?qos=2", 400, "qos is 2, it must be 0 or 1"),
        ("/publish/lamps/%2B", 400, "the path hides one of / + # NUL, starts with $, or is not UTF-8"),
    ],
)
async def test_what_may_not_be_published_is_refused_with_the_reason(
    path: str, status: int, detail: str
) -> None:
    async with Site(app) as site:
        everything = site.inbox("#")
        answer = await site.http.post(path, "on")
        assert (answer.status, answer.json()["detail"]) == (status, detail)
        await site.settle()
        assert (everything.all, site.rows(Bridged)) == ([], [])


async def test_a_qos_that_is_no_number_is_told_to_the_caller() -> None:
    async with Site(app) as site:
        answer = await site.http.post("/publish/lamps/7?qos=high", "on")
        assert answer.status == 422
        assert "qos" in answer.json()["detail"]
