"""The hub: what one region's cloud does beside ingest, as a list of parts.

Rows come in by another process (`rimward.cloud.ingest.ingesting`): either goes on while the other is dead.
"""

import time
from collections.abc import Callable
from pathlib import Path

from rimward.app import manifest as manifests
from rimward.cloud.commands.commanding import Commanding
from rimward.cloud.config import HubConfig
from rimward.cloud.erasing.forgetting import Forgetting
from rimward.cloud.functions.forwarding import Forwards
from rimward.cloud.functions.supervising import Functions
from rimward.cloud.lake.storage import LakeBroken, keep_place, lake_of
from rimward.cloud.lake.upkeep import Upkeep
from rimward.cloud.ledger.auditing import Auditing
from rimward.cloud.parts import Alive, Part, together
from rimward.cloud.store import Records
from rimward.cloud.streams import Streams
from rimward.observe.life import HUB


class Hub:
    """One region's hub, until it is stopped."""

    def __init__(self, config: HubConfig, now: Callable[[], int] = time.time_ns) -> None:
        """`now` is the wall clock, ns."""
        data = Path(config.data)
        keep_place(data, config.lake)
        manifest = manifests.decode(Path(config.manifest).read_bytes())
        facts = {spec.table: spec for spec in manifest.facts}
        self.now = now
        self._records = Records(data / "hub" / "hub.db")
        self.parts: list[Part] = [
            Alive(data / HUB),
            Streams(config),
            Upkeep(lake_of(data), config.upkeep, facts, self._records, now),
            Auditing(data, self._records),
            Commanding(config, now),  # a person may command too
            Forgetting(data, lake_of(data), now),
        ]
        if config.app and any(function.layer == "cloud" for function in manifest.functions):
            self.parts += [Functions(config), Forwards(config, manifest.facts, now)]

    async def run(self) -> None:
        """Run every part; one that fails starts over.

        Raises:
            ExceptionGroup: with LakeBroken in it; only a new start may look at the lake again.
        """
        await together(self.parts, fatal=(LakeBroken,))
