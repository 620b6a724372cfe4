"""A node under supervision: its slot in a file, its answer to signals, and what is known of its functions."""

import faulthandler
import signal
from collections.abc import Callable
from pathlib import Path
from types import CodeType

from rimward.app.codes import code_digest
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch import Clocks, Dispatcher
from rimward.edge.dispatch.asked import Asked
from rimward.edge.dispatch.call import Running, _Rest
from rimward.edge.dispatch.calling import run_plainly
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
)


def watched(dispatcher: Dispatcher, config: NodeConfig, folder: Path, clocks: Clocks) -> Placing:
    """Put a dispatcher's slot where the supervisor reads it, and its functions where they are to run."""
    spec = watch_spec(folder)
    runs = dispatcher.functions
    codes = {name: code_digest(run.function.plan.function) for name, run in runs.items()}
    limits = config.placement
    placement = Placement(folder / "placement.json", codes, limits.events)
    placing = Placing(
        dispatcher, runs, placement, (limits.overruns, limits.within), (clocks.wall, clocks.monotonic)
    )
    placing.start(Path(spec.deaths))
    dispatcher.conduct = placing
    slot, hands = Slot(), OFF if looked_at() else (REPORT if config.watch == "report" else STOP)
    try:
        root = _root(dispatcher)
        slot.open(Path(spec.slot), (run.function for run in runs.values()), hands, root)
        stack = Path(spec.stack).open("w")  # noqa: SIM115 (it is for the rest of the process's life)
    except OSError as error:  # a full disk: unwatched, it still serves
        log.error("calls are not watched", error=error.strerror or str(error))  # noqa: TRY400 (the sentence says it all)
        return placing
    faulthandler.register(signal.SIGUSR1, file=stack)
    dispatcher.words = slot.words
    Stopper(slot, _codes()).install()
    return placing


def _codes() -> list[CodeType]:
    found = (getattr(site, "__code__", None) for site in _CALL_SITES)  # compiled, they have none
    return [code for code in found if isinstance(code, CodeType)]


def _root(dispatcher: Dispatcher) -> Path:
    """Return the folder of the app's first file."""
    files = [run.function.file for run in dispatcher.functions.values()]
    return Path(files[0]).resolve().parent if files else Path("/")
