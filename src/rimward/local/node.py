"""`rimward node run`: a node whose hub is elsewhere, which serves its devices whether that answers or not."""

import asyncio
import os

from rimward.local.attending import Attendant
from rimward.local.checking import check
from rimward.local.components import make_components
from rimward.local.dev import PROCESSES
from rimward.local.folder import DataFolder
from rimward.local.listeners import further
from rimward.local.nodeplan import NodePlan
from rimward.local.options import NodeOptions
from rimward.local.serving import Served, serve
from rimward.local.telling import Lines, Ready


async def run(options: NodeOptions, lines: Lines) -> None:
    """Run until a signal, or until the duration asked for is over.

    Raises:
        DevError: it can't start, or did not become ready.
        JoinError: what the node knows of itself makes no sense.
    """
    folder = await asyncio.to_thread(DataFolder, options.data)
    manifest = await check(options.app, options.check_timeout)
    await asyncio.to_thread(folder.prepare)
    lock = await asyncio.to_thread(folder.lock)
    try:
        plan = await asyncio.to_thread(NodePlan, folder, options, manifest)
        await make_components(manifest, plan.components, lines.note)
        await asyncio.to_thread(plan.write)

        def ready(attendant: Attendant) -> Ready:
            return Ready(
                mqtt=attendant.ports["mqtt"],
                http=attendant.ports["http"],
                coap=attendant.ports.get("coap"),
                sip=None,
                console=None,
                data=str(folder.root),
                pids=attendant.pids,
                more=further(plan.listeners, attendant.ports),
            )

        served = Served(
            app=manifest.app,
            told=PROCESSES,
            ready=ready,
            say_ready=lambda said: lines.node_ready(manifest.app, plan.identity.name, said),
            say_pids=lines.pids,
            note=lines.note,
            duration=options.duration,
            timeout=options.ready_timeout,
        )
        await serve(folder, plan, served, lock)
    finally:
        os.close(lock)
