import asyncio
import threading

import pytest

from rimward.observe.threads import in_thread


class Work:
    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.ended = False

    def run(self) -> str:
        self.begun.set()
        assert self.may_end.wait(30)
        self.ended = True
        return "done"

    def fail(self) -> str:
        self.run()
        raise ValueError("it failed")


async def test_work_in_a_thread_returns_what_it_returns() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)


async def test_work_in_a_thread_raises_what_it_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("name", ["run", "fail"])
async def test_a_cancellation_waits_for_the_thread(times: int, name: str) -> None:
    work, turn = Work(), asyncio.Lock()

    async def locked() -> None:
        async with turn:
            await in_thread(getattr(work, name))

    task = asyncio.create_task(locked())
    await asyncio.to_thread(work.begun.wait)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    assert turn.locked()
    assert not task.done()
    work.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.ended
