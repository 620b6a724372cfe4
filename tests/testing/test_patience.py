"""Async functions own their timeouts: none reaches the test or the node that started the function."""

import asyncio

from rimward import App, every, http
from rimward.testing import Site

app = App("patience", compat="2026-11-01")
gave_up: list[str] = []


async def wait_in_vain(who: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):  # at 0 it is over before the rest of the function begins
            await asyncio.Event().wait()
    except TimeoutError:
        gave_up.append(who)


@app.edge(http.get("/wait"))
async def asked() -> str:
    await wait_in_vain("request", 0)
    await wait_in_vain("request", 0.001)
    return "given up"


@app.edge(every("10s"))
async def beat() -> None:
    await wait_in_vain("beat", 0)


async def test_a_timeout_in_a_function_ends_its_wait_and_not_the_tests() -> None:
    async with Site(app) as site:
        assert (await site.http.get("/wait")).text == "given up"
        await site.advance("10s")
        await site.settle()
        assert gave_up == ["request", "request", "beat"]
        assert site.errors == []
