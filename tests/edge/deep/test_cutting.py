"""The uplink cut on purpose."""

import asyncio
from pathlib import Path

from rimward.edge.deep.cutting import Cutting
from rimward.edge.deep.link import Link
from rimward.observe.faults import Fault, Faults, inject, take_back

FAR = 1 << 62


async def test_a_connection_is_dropped_when_the_fault_begins_and_none_is_made_until_it_is_over(
    tmp_path: Path,
) -> None:
    cutting, link = Cutting(Faults(tmp_path)), Link("nats://127.0.0.1:1", 0)
    await cutting.over()
    watching = asyncio.create_task(cutting.run(link))
    await asyncio.sleep(0)
    assert not link.broken.is_set()
    await asyncio.to_thread(inject, tmp_path, "uplink", Fault(0, FAR))
    await watching
    assert (link.broken.is_set(), link.why) == (True, "it was cut on purpose: rimward fault uplink")
    waiting = asyncio.create_task(cutting.over())
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(take_back, tmp_path, "uplink")
    await waiting


async def test_other_faults_cut_nothing(tmp_path: Path) -> None:
    await asyncio.to_thread(inject, tmp_path, "clock", Fault(0, FAR))
    await Cutting(Faults(tmp_path)).over()
