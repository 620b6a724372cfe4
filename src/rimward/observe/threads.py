"""Work in a thread that is not left behind.

A thread can't be cancelled: `asyncio.to_thread` returns at a cancellation while its work goes on, beside
whoever takes the same lock or file next.
"""

import asyncio
import contextvars
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run something in a thread and return what it returns; at a cancellation its end is awaited first.

    It raises what the work raises.
    """
    context = contextvars.copy_context()

    def call() -> T:
        return context.run(work, *arguments)

    running = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            await _ended(running)
        if not running.cancelled():
            running.exception()  # nobody else asks for it
        raise


async def _ended(running: "asyncio.Future[T]") -> None:
    """Wait for the work's end, or until this is cancelled once more."""
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        return  # the caller is being cancelled already
