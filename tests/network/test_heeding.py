"""Cancellations are neither swallowed nor lost."""

import asyncio
from contextlib import suppress

import pytest

from rimward.network.heeding import finish, heed_cancellation


async def test_what_was_swallowed_is_raised_again() -> None:
    ended = asyncio.Event()

    async def swallow() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            heed_cancellation()
        finally:
            ended.set()

    task = asyncio.create_task(swallow())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_the_last_thing_is_done_in_a_task_that_was_cancelled() -> None:
    done: list[bool] = []

    async def fail() -> None:
        raise OSError

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            done.append(await finish(asyncio.sleep(0), 30.0))
            done.append(await finish(asyncio.Event().wait(), 0.0))
            done.append(await finish(fail(), 30.0))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert done == [True, False, False]


async def test_a_cancellation_that_comes_as_it_is_done_is_not_lost() -> None:
    news = asyncio.Event()

    async def work() -> None:
        await finish(news.wait(), 30.0)
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    news.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.cancelled()
