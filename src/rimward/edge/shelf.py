"""Small entries that gateways keep on disk, through the outbox."""

from collections.abc import Iterable

from rimward.edge.dispatch.ports import OutboxPort
from rimward.edge.outbox import Put, Transaction
from rimward.events import RimwardError
from rimward.observe import Logger, get_logger

log: Logger = get_logger("rimward.node")


class Shelf:
    """What was kept with messages (`commits`), found again and forgotten."""

    def __init__(self, outbox: OutboxPort) -> None:
        self._outbox = outbox

    def load(self, space: str) -> dict[str, bytes]:
        """Return what a space holds."""
        return self._outbox.load(space)

    def forget(self, space: str, keys: Iterable[str]) -> None:
        """Forget entries; what the disk refuses is forgotten at the next start."""
        transaction = Transaction()
        transaction.puts += [Put(space, key, None) for key in keys]
        try:
            self._outbox.append(transaction, None)
        except RimwardError as error:
            log.warning("entries whose time is over stay on disk", space=space, reason=error.code)
