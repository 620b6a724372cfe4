"""`python -m rimward.cloud.ingest.ingesting CONFIG --ready R`: ingest, a process of its own."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from rimward.app import manifest as manifests
from rimward.cloud.announcing import Announcer
from rimward.cloud.config import HubConfig
from rimward.cloud.erasing.listing import Erasures
from rimward.cloud.ingest.core import Ingest
from rimward.cloud.ingest.figures import Telling, Watched
from rimward.cloud.ingest.pulling import Pulling
from rimward.cloud.ingest.taking import Taking
from rimward.cloud.lake.sole import SoleWriter
from rimward.cloud.lake.storage import LakeBroken, keep_place, lake_of
from rimward.cloud.parts import Alive, Part, together
from rimward.cloud.process import serve
from rimward.cloud.store import Records
from rimward.observe.life import ingest_names, ingest_sign


class Ingesting:
    """One process that takes rows from the bus into the lake, until it is stopped."""

    def __init__(self, config: HubConfig, share: int = 0, now: Callable[[], int] = time.time_ns) -> None:
        """`share` is the one of the nodes that this process is for; `now` is the wall clock, ns.

        Raises:
            SecondWriter: the lake's store leaves writing to one process, and another does it.
        """
        data = Path(config.data)
        keep_place(data, config.lake)
        manifest = manifests.decode(Path(config.manifest).read_bytes())
        lake, name = lake_of(data), ingest_names(share + 1)[share]
        self._right = SoleWriter(lake, data, name)
        self.records: Records = Records(data / "hub" / "hub.db")
        announcer = Announcer(config, manifest) if config.events else None
        ingest = Ingest(lake, manifest.facts, now, self.records, Erasures(data, lake))
        self.taking: Taking = Taking(config, ingest, self.records, announcer, now)
        pulling = Pulling(config, self.taking, share)
        watched = Watched(
            lambda: self.taking.gaps,
            lambda: self.taking.welcoming.quarantined,
            lambda: pulling.leases.lost,
            lambda: share in pulling.leases.held,
        )
        self.telling: Telling = Telling(data, name, watched, now, time.monotonic_ns)
        self.taking.took = self.telling.commits.record
        self.parts: list[Part] = [Alive(data / ingest_sign(name)), pulling, self.telling]
        if announcer is not None:
            self.parts.append(announcer)

    async def run(self) -> None:
        """Run every part; one that fails starts over.

        Raises:
            ExceptionGroup: with LakeBroken in it; only a new start may look at the lake again.
        """
        await together(self.parts, fatal=(LakeBroken,))

    def close(self) -> None:
        """Close the hub's own file and let another write; for one whose process goes on."""
        self.records.close()
        self._right.close()


if __name__ == "__main__":
    sys.exit(serve("ingest", Ingesting, sys.argv[1:]))
