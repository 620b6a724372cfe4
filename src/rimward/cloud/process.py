"""The shell of the cloud's processes: a configuration, a sign that it is ready, an end in order."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from rimward.cloud.config import HubConfig, read
from rimward.cloud.parts import Part
from rimward.events import RimwardError
from rimward.observe import Logger, configure, get_logger
from rimward.observe.stopping import until_stopped

log: Logger = get_logger("rimward.hub")


def serve(name: str, make: Callable[[HubConfig, int], Part], arguments: list[str]) -> int:
    """Run what `make` returns for a configuration and a share, until a signal asks to stop; return the code.

    It raises what the part raises.
    """
    parser = argparse.ArgumentParser(prog=f"rimward's {name}")
    parser.add_argument("config", type=Path)
    parser.add_argument("--ready", type=int)
    parser.add_argument("--share", type=int, default=0, help="of the nodes, from 0 on")
    options = parser.parse_args(arguments)
    configure(name)
    try:
        part = make(read(options.config), options.share)
    except RimwardError as error:  # the app, or what it is to work on, is at fault: one line says so
        log.error("it can't start", process=name, code=error.code, error=str(error))  # noqa: TRY400 (one line)
        return 1
    asyncio.run(until_stopped(part.run(), options.ready))
    return 0
