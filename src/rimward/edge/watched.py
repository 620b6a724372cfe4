"""A node under supervision: its slot in a file, its answer to signals, and what is known of its functions."""

import asyncio
import faulthandler
import signal
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import TextIO

from rimward.app.codes import code_digest
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Clocks, Dispatcher
from rimward.edge.dispatch.asked import Asked
from rimward.edge.dispatch.call import Running, _Rest
from rimward.edge.dispatch.calling import run_plainly
from rimward.edge.dispatch.feeding import Feeder
from rimward.edge.dispatch.pouring import Stretches
from rimward.edge.dispatch.version import Version
from rimward.edge.functions.placement import Placement
from rimward.edge.functions.placing import Placing
from rimward.edge.slot import OFF, REPORT, STOP, Slot, watch_spec
from rimward.edge.stopping import Stopper, looked_at
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.functions")

_CALL_SITES: tuple[Callable[..., object], ...] = (
    Dispatcher.plain,
    Asked.ask,
    Running.step,
    _Rest.__await__,
    run_plainly,
    Stretches.__await__,
    Feeder.feed,
    Feeder._wake,
)


async def placing_of(dispatcher: Dispatcher, config: NodeConfig, folder: Path, clocks: Clocks) -> Placing:
    """Put a dispatcher's functions where they are to run, as is known from earlier processes."""
    placing = await placing_for(dispatcher.version, dispatcher, config, folder, clocks)
    placing.start()
    dispatcher.conduct = placing
    return placing


async def placing_for(
    version: Version, dispatcher: Dispatcher, config: NodeConfig, folder: Path, clocks: Clocks
) -> Placing:
    """Return what is known of a version's functions; once the dispatcher runs it, `start` places them."""
    runs, limits = version.functions, config.placement
    codes = {name: code_digest(run.function.plan.function) for name, run in runs.items()}

    def loaded() -> Placing:
        placement = Placement(folder / "placement.json", codes, limits.events)
        within = (limits.overruns, limits.within)
        placing = Placing(dispatcher, runs, placement, within, (clocks.wall, clocks.monotonic))
        placing.load(Path(watch_spec(folder).deaths))
        return placing

    return await asyncio.to_thread(loaded)


async def be_watched(dispatcher: Dispatcher, config: NodeConfig, folder: Path) -> Slot | None:
    """Put a dispatcher's slot where the supervisor reads it, and answer its signals; None: it can't be."""
    spec, runs = watch_spec(folder), dispatcher.functions.values()
    slot, hands = Slot(), OFF if looked_at() else (REPORT if config.watch == "report" else STOP)

    def opened() -> TextIO:
        functions = (run.function for run in runs)
        slot.open(
            Path(spec.slot), functions, dispatcher.streams, hands=hands, root=root_of(dispatcher.version)
        )
        return Path(spec.stack).open("w")

    try:
        stack = await asyncio.to_thread(opened)
    except OSError as error:  # a full disk: unwatched, it still serves
        log.error("calls are not watched", error=error.strerror or str(error))  # noqa: TRY400 (it says it all)
        return None
    faulthandler.register(signal.SIGUSR1, file=stack)
    dispatcher.words = slot.words
    Stopper(slot, call_sites()).install()
    return slot


def root_of(version: Version) -> Path:
    """Return the folder of a version's code."""
    files = [run.function.file for run in version.functions.values()]
    return Path(files[0]).resolve().parent if files else Path("/")


def call_sites() -> list[CodeType]:
    """Return the code from which the platform calls user code."""
    found = (getattr(site, "__code__", None) for site in _CALL_SITES)  # compiled, they have none
    return [code for code in found if isinstance(code, CodeType)]
