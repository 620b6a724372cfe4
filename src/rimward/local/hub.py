"""`rimward hub run`: a hub whose nodes are elsewhere."""

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec

from rimward.app.manifest import Manifest, decode
from rimward.local.attending import Attendant
from rimward.local.checking import check
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder
from rimward.local.hubplan import HubPlan
from rimward.local.options import HubOptions
from rimward.local.plan import installed
from rimward.local.serving import Served, serve
from rimward.local.telling import Lines

MISSING = (
    "a hub needs the cloud extra: pip install 'rimward[cloud]' brings it (nodes do without: rimward node run)"
)


async def run(options: HubOptions, lines: Lines) -> None:
    """Run until a signal, or until the duration asked for is over.

    Raises:
        DevError: it can't start, or did not become ready.
    """
    folder = await asyncio.to_thread(DataFolder, options.data)
    extras = await asyncio.to_thread(installed)
    if not extras.hub:
        raise DevError(MISSING)
    await asyncio.to_thread(folder.prepare)
    lock = await asyncio.to_thread(folder.lock)
    try:
        manifest = await _manifest(options, folder)
        plan = await asyncio.to_thread(HubPlan, folder, options, extras.bus)
        await asyncio.to_thread(plan.write, manifest)

        def ready(attendant: Attendant) -> dict[str, Any]:
            address = plan.address(attendant.ports["enrol"])
            return {
                "url": address.url,
                "authority": address.authority,
                "enrol": address.port,
                "bus": address.bus_port or None,
                "data": str(folder.root),
                "pids": attendant.pids,
            }

        served = Served(
            app=manifest.app,
            told=("supervisor", *plan.names),
            ready=ready,
            say_ready=lambda said: lines.hub_ready(manifest.app, said),
            say_pids=lines.pids,
            note=lines.note,
            duration=options.duration,
            timeout=options.ready_timeout,
        )
        await serve(folder, plan, served, lock)
    finally:
        os.close(lock)


async def _manifest(options: HubOptions, folder: DataFolder) -> Manifest:
    """Return what the hub knows of the app: from the app, from a file, or as it was at the last run.

    Raises:
        DevError: there is nothing.
    """
    if options.app is not None:
        return await check(options.app, options.check_timeout)
    path = options.manifest or folder.manifest
    try:
        return await asyncio.to_thread(_read, path)
    except FileNotFoundError:
        if options.manifest is None:
            raise DevError(
                "a hub has to know which facts there are: --app APP reads them from the app, "
                "--manifest FILE from what rimward check APP --manifest FILE wrote"
            ) from None
        raise DevError(f"there is no file {path}: rimward check APP --manifest FILE writes one") from None
    except (OSError, msgspec.DecodeError) as error:
        raise DevError(
            f"{path} is no manifest ({error}): rimward check APP --manifest FILE writes one"
        ) from None


def _read(path: Path) -> Manifest:
    return decode(path.read_bytes())
