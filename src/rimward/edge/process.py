"""The node's I/O process: its command line, its start and its end."""

import asyncio
import gc
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from rimward.app.loading import load
from rimward.edge.access import AccessError
from rimward.edge.config import NodeConfig, read
from rimward.edge.functions.config import LISTENER
from rimward.edge.functions.wasm.needed import components_for
from rimward.edge.gateways.listening.config import ListenerError
from rimward.edge.hooks import HookFailed
from rimward.edge.node import Node
from rimward.events import LoadError
from rimward.observe import Logger, configure, get_logger

log: Logger = get_logger("rimward.node")

USAGE = "usage: python -m rimward.edge CONFIG [--fd NAME=FD] ... [--ready FD]"
YOUNG = 10_000  # objects between two looks for cycles; one connection is some 25 that stay
AGAIN = 75  # exit code: whoever watches over the process should start it again (EX_TEMPFAIL)


async def run(config: NodeConfig, sockets: dict[str, socket.socket], ready: int | None) -> bool:
    """Serve until a signal asks to stop: True. False: the outbox is broken and a new start would mend it."""
    loop, stop, reloading = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    gc.freeze()  # what was imported is not looked at again; collecting first would free 60 KB in 10 ms
    app = load(config.app)
    components = await components_for(app, config)
    workers = sockets.pop(LISTENER, None)
    async with Node(app, config) as node:
        node.components = components
        node.employ(workers)
        await node.be_watched()
        await node.listen(sockets)
        loop.add_signal_handler(signal.SIGHUP, reloading.set)
        reloader = loop.create_task(_reload(node, reloading))
        if config.watch == "stop":  # else the app may be replaced, and is to be found when it is garbage
            gc.freeze()
        gc.set_threshold(YOUNG)
        gc.enable()
        if ready is not None:
            os.write(ready, b"{}\n")
            os.close(ready)
        ends = [loop.create_task(event.wait()) for event in (stop, node.outbox.mended)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in (*ends, reloader):
            end.cancel()
        if stop.is_set():
            log.info("stopping")
        else:
            log.warning("the outbox's disk can be written again: ending, to be started with a new file")
    return stop.is_set()


async def _reload(node: Node, asked: asyncio.Event) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await node.reload()


def _options(arguments: list[str]) -> tuple[Path, dict[str, int], int | None]:
    """Read the command line, which the supervisor writes; argparse would be a fiftieth of the start.

    Raises:
        ValueError: it is not as USAGE says.
    """
    files: list[str] = []
    fds: dict[str, int] = {}
    ready: int | None = None
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option == "--fd":
            name, _, number = (value if equals else next(words, "")).partition("=")
            fds[name] = int(number)
        elif option == "--ready":
            ready = int(value if equals else next(words, ""))
        elif word.startswith("-"):
            raise ValueError(word)
        else:
            files.append(word)
    [config] = files
    return Path(config), fds, ready


def main(arguments: list[str]) -> int:
    """Run the node that the configuration describes."""
    try:
        path, fds, ready = _options(arguments)
    except ValueError:
        print(USAGE, file=sys.stderr)
        return 2
    configure("node")
    sockets = {name: socket.socket(fileno=fd) for name, fd in fds.items()}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return 0 if runner.run(run(read(path), sockets, ready)) else AGAIN
    except LoadError as error:
        log.error("the app can't be loaded", error=str(error))  # noqa: TRY400 (the sentence says it all)
    except HookFailed as error:
        log.error("the node does not start", error=str(error))  # noqa: TRY400 (the sentence says it all)
    except AccessError as error:
        log.error("the access file can't be used", error=str(error))  # noqa: TRY400 (the sentence says it all)
    except ListenerError as error:
        log.error("the node can't listen", error=str(error))  # noqa: TRY400 (the sentence says it all)
    return 1
