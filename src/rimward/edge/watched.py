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
    runs, limits = dispatcher.functions, config.placement
    codes = {name: code_digest(run.function.plan.function) for name, run in runs.items()}

    def loaded() -> Placing:
        placement = Placement(folder / "placement.json", codes, limits.events)
        within = (limits.overruns, limits.within)
        placing = Placing(dispatcher, runs, placement, within, (clocks.wall, clocks.monotonic))
        placing.load(Path(watch_spec(folder).deaths))
        return placing

    placing = await asyncio.to_thread(loaded)
    placing.start()
    dispatcher.conduct = placing
    return placing


async def be_watched(dispatcher: Dispatcher, config: NodeConfig, folder: Path) -> None:
    """Put a dispatcher's slot where the supervisor reads it, and answer its signals."""
    spec, runs = watch_spec(folder), dispatcher.functions.values()
    slot, hands = Slot(), OFF if looked_at() else (REPORT if config.watch == "report" else STOP)
    files = [run.function.file for run in runs]

    def opened() -> TextIO:
        root = Path(files[0]).resolve().parent if files else Path("/")
        functions = (run.function for run in runs)
        slot.open(Path(spec.slot), functions, dispatcher.streams, hands=hands, root=root)
        return Path(spec.stack).open("w")

    try:
        stack = await asyncio.to_thread(opened)
    except OSError as error:  # a full disk: unwatched, it still serves
        log.error("calls are not watched", error=error.strerror or str(error))  # noqa: TRY400 (it says it all)
        return
    faulthandler.register(signal.SIGUSR1, file=stack)
    dispatcher.words = slot.words
    Stopper(slot, call_sites()).install()


def call_sites() -> list[CodeType]:
    """Return the code from which the platform calls user code."""
    found = (getattr(site, "__code__", None) for site in _CALL_SITES)  # compiled, they have none
    return [code for code in found if isinstance(code, CodeType)]
