"""The hub's own file, used by several threads of one process."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rimward.cloud.store import Records

THREADS = 4
TIMES = 25


def test_threads_that_write_at_once_wait_for_one_another(tmp_path: Path) -> None:
    records, together = Records(tmp_path / "hub.db"), threading.Barrier(THREADS, timeout=30)

    def write() -> None:
        together.wait()
        for number in range(TIMES):
            records.add({"stored": 1})
            records.saw({"warm": ("t", number)})

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(write) for _ in range(THREADS)]:
            done.result()
    assert records.counters() == {"stored": THREADS * TIMES}
    assert records.seen() == {"warm": ("t", TIMES - 1)}
    records.close()
