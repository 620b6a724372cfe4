"""The shell of the cloud's processes: a configuration, a sign that it is ready, an end in order."""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from rimward.cloud.config import HubConfig, read
from rimward.cloud.parts import Part
from rimward.observe import configure

GRACE = 2.0  # seconds to end in order


def serve(name: str, make: Callable[[HubConfig], Part], arguments: list[str]) -> int:
    """Run what `make` returns for the configuration that the arguments name, until a signal asks to stop.

    It raises what the part raises.
    """
    parser = argparse.ArgumentParser(prog=f"rimward's {name}")
    parser.add_argument("config", type=Path)
    parser.add_argument("--ready", type=int)
    options = parser.parse_args(arguments)
    configure(name)
    asyncio.run(_run(make, read(options.config), options.ready))
    return 0


async def _run(make: Callable[[HubConfig], Part], config: HubConfig, ready: int | None) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    task = loop.create_task(make(config).run())
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
