"""A process of the deep path from its sign that it is ready to its end in order."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

GRACE = 2.0  # seconds to end in order


async def until_stopped(work: Coroutine[Any, Any, None], ready: int | None) -> None:
    """Run what never ends by itself until a signal asks to stop; say on `ready`, a descriptor, that it runs.

    It raises what the work raises.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    task = loop.create_task(work)
    if ready is not None:
        os.write(ready, b"{}\n")
        os.close(ready)
    stopping = loop.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        task.result()  # it only ends by failing
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE)
    if not task.done():
        os._exit(0)  # the bus's client can hold on to a cancellation; nothing here needs a clean end
