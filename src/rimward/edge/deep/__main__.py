"""`python -m rimward.edge.deep CONFIG --ready R`: the node's deep process."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from rimward.edge.deep.config import DeepConfig, read
from rimward.edge.deep.process import DeepProcess
from rimward.observe import configure

GRACE = 2.0  # seconds to end in order


async def run(config: DeepConfig, ready: int | None) -> None:
    """Run until a signal asks to stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    task = loop.create_task(DeepProcess(config).run())
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


def main(arguments: list[str]) -> int:
    """Run the deep process that the configuration describes."""
    parser = argparse.ArgumentParser(prog="python -m rimward.edge.deep")
    parser.add_argument("config", type=Path)
    parser.add_argument("--ready", type=int)
    options = parser.parse_args(arguments)
    configure("deep")
    asyncio.run(run(read(options.config), options.ready))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
