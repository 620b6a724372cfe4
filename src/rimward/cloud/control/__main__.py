"""`python -m rimward.cloud.control CONFIG --fd FD --ready R`: the process that lets nodes in."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from rimward.cloud.control.config import ControlConfig, read
from rimward.cloud.control.desk import Desk
from rimward.cloud.control.enrolment import Enrolments
from rimward.cloud.control.site import application
from rimward.cloud.patience import DRAIN, PatientServer
from rimward.observe import configure


async def run(config: ControlConfig, listener: socket.socket, ready: int | None) -> None:
    """Let nodes in until a signal asks to stop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    enrolments = Enrolments(Path(config.data) / "hub" / "enrol.db")
    desk = Desk(config, enrolments)
    server = PatientServer(application(desk, config.authority), certificate=config.certificate or None)
    try:
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve([listener]))
            following = tasks.create_task(desk.run())
            if ready is not None:
                os.write(ready, b"{}\n")
                os.close(ready)
            await stop.wait()
            following.cancel()
            server.should_exit = True
            await asyncio.wait([serving], timeout=2 * DRAIN)
    finally:
        enrolments.close()


def main(arguments: list[str]) -> int:
    """Run the enrolment that the configuration describes."""
    parser = argparse.ArgumentParser(prog="python -m rimward.cloud.control")
    parser.add_argument("config", type=Path)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--ready", type=int)
    options = parser.parse_args(arguments)
    configure("enrol")
    asyncio.run(run(read(options.config), socket.socket(fileno=options.fd), options.ready))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
