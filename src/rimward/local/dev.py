"""`rimward dev`: checks the app, has all of it started, tells what happens, restarts on save, stops."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path

from rimward.app.manifest import Manifest
from rimward.edge.functions.wasm.cache import user_folder
from rimward.edge.versions.wanted import Taken, Wanted
from rimward.local.attending import Attendant
from rimward.local.checking import check, warnings
from rimward.local.components import make_components
from rimward.local.differing import differs
from rimward.local.errors import DevError
from rimward.local.folder import DataFolder
from rimward.local.listeners import HOST, further, takes_coap
from rimward.local.options import DevOptions
from rimward.local.plan import Extras, Plan, installed
from rimward.local.renewing import renew, told
from rimward.local.supervision import Supervision
from rimward.local.telling import Ready, Teller
from rimward.local.trying import send_line, takes
from rimward.local.watching import saves
from rimward.observe.life import is_ingest

PROCESSES = ("supervisor", "node", "deep", "hub", "ingest", "bus")  # the keys of every line of pids
EDGE_ALONE = (
    "the cloud extra is not installed, so only the edge runs: pip install 'rimward[cloud]' adds the rest"
)


async def run(options: DevOptions, teller: Teller) -> None:
    """Run until a signal, or until the duration asked for is over.

    Raises:
        DevError: it can't start, or did not become ready.
    """
    folder = await asyncio.to_thread(DataFolder, options.data)
    extras = await asyncio.to_thread(installed)
    manifest = await check(options.app, options.check_timeout)
    await make_components(manifest, await asyncio.to_thread(user_folder), teller.note)
    if options.simulate and not takes(manifest):
        raise DevError(
            f"{options.app} has no MQTT function, and simulated devices speak MQTT: "
            'add one with @app.edge(mqtt("…")), or leave --simulate away'
        )
    if options.events and not extras.cloud:
        raise DevError(
            "--events needs the hub, which is not installed: pip install 'rimward[cloud]', or leave it away"
        )
    await asyncio.to_thread(folder.prepare)
    lock = await asyncio.to_thread(folder.lock)
    try:
        await Dev(options, folder, extras, teller, lock).run(manifest)
    finally:
        os.close(lock)


class Dev:
    """One run in a folder that is ours."""

    def __init__(
        self, options: DevOptions, folder: DataFolder, extras: Extras, teller: Teller, lock: int
    ) -> None:
        self._options = options
        self._folder = folder
        self._extras = extras
        self._teller = teller
        self._plan = Plan(folder, options, extras)
        self._supervision = Supervision(self._plan.write_spec, folder.logs / "supervisor.log", lock)
        told = dict.fromkeys((*PROCESSES, *filter(is_ingest, self._plan.names)))
        self._attendant = Attendant(self._supervision, self._plan.names, told, folder.logs)
        self._attendant.on_again = lambda: teller.pids(self._attendant.pids)
        self._attendant.on_news = teller.note
        self._console: tuple[int, str] | None = None  # port, link
        self._sources: list[Path] = []

    async def run(self, manifest: Manifest) -> None:
        """Run the app that was checked.

        Raises:
            DevError: something can't be written, a port is taken, or a process does not become ready.
        """
        await self._compare(manifest)
        await asyncio.to_thread(self._plan.write, manifest)
        self._sources = await asyncio.to_thread(_folders, manifest)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._attendant.signals_caught())
            if self._extras.console:
                self._console = await self._serve_console(stack)
            try:
                await self._run_all(manifest)
            finally:
                await asyncio.to_thread(self._folder.ready.unlink, missing_ok=True)
        if self._attendant.failure is not None:
            raise self._attendant.failure

    async def _run_all(self, manifest: Manifest) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._attendant.follow())  # ends when the supervisor has stopped
            others = [tasks.create_task(self._live(manifest)), tasks.create_task(self._watch(manifest))]
            await self._attendant.stop.wait()
            for task in others:
                task.cancel()
            self._supervision.stop()

    async def _live(self, manifest: Manifest) -> None:
        """Tell when everything serves; stop when the duration is over."""
        attendant = self._attendant
        if not await attendant.all_ready(self._options.ready_timeout):
            return
        ready = Ready(
            mqtt=attendant.ports["mqtt"],
            http=attendant.ports["http"],
            coap=attendant.ports.get("coap"),
            sip=None,
            console=self._console[0] if self._console else None,
            data=str(self._folder.root),
            pids=attendant.pids,
            more=further(self._plan.listeners, attendant.ports),
        )
        link = self._console[1] if self._console else None
        content = {"pid": os.getpid(), "app": manifest.app, "link": link, "ready": ready}
        await asyncio.to_thread(self._folder.write, self._folder.ready, content)
        self._teller.ready(ready, manifest.app, link, send_line(manifest, self._options.data, time.time_ns()))
        if not self._extras.cloud:
            self._teller.note(EDGE_ALONE)
        for warning in warnings(manifest):
            self._teller.note(warning)
        for name in self._plan.devices:
            self._supervision.restart(name)
        if (devices := self._options.simulate) > 0:
            each = "device sends" if devices == 1 else "devices send"
            self._teller.note(f"{devices} simulated {each} a message a second (seed {self._options.seed})")
        if self._options.duration is not None:
            await asyncio.sleep(self._options.duration)
            attendant.stop.set()

    async def _watch(self, manifest: Manifest) -> None:
        """After each save: check the app, then restart what runs it, or say what is wrong and go on."""
        async for _ in saves(lambda: self._sources):
            taken = takes(manifest)
            try:
                checked = await check(self._options.app, self._options.check_timeout)
                await make_components(checked, await asyncio.to_thread(user_folder), self._teller.note)
                await self._compare(checked)
                await asyncio.to_thread(self._plan.refresh, checked)
                runs = await self._renew(checked)
                if not runs:
                    await asyncio.to_thread(self._plan.refresh, manifest)
            except DevError as error:
                self._teller.note(f"{error} (what ran before the save runs on)")
                continue
            if not runs:
                continue
            manifest = checked
            self._sources = await asyncio.to_thread(_folders, manifest)
            if self._options.simulate and takes(manifest) != taken:
                self._supervision.restart("simulate")  # what devices say has changed

    async def _renew(self, manifest: Manifest) -> bool:
        """Have everything that runs the app go over to it; False: it can't, and what ran before runs on.

        The node does so with its connections open, or starts anew where it can't; the hub starts anew.
        """
        if takes_coap(manifest) and "coap" not in self._plan.listeners:
            self._teller.note("CoAP is listened for from the next start on: stop dev and start it again")
        app, node = self._options.app, self._folder.root / "node"
        wanted = Wanted(time.time_ns(), self._plan.app, manifest.digest)
        taken = await renew(node, wanted, self._attendant.serving_node, self._options.check_timeout)
        if taken is None:
            taken = Taken(wanted.number, "restart", "it gives no answer")
        self._teller.note(told(app, taken))
        if taken.outcome == "kept":
            return False
        behind = [name for name in self._plan.names if name == "hub" or is_ingest(name)]
        anew = ["node", *behind] if taken.outcome == "restart" else behind
        for name in anew:
            self._supervision.restart(name)
        return True

    async def _compare(self, manifest: Manifest) -> None:
        """Compare the app's facts with what the lake has of them.

        Raises:
            DevError: a column has another type than before.
        """
        if note := await asyncio.to_thread(differs, self._folder, manifest):
            self._teller.note(note)

    async def _serve_console(self, stack: AsyncExitStack) -> tuple[int, str]:
        from rimward.console.server import listen, serve

        port = self._options.console
        try:
            listener = listen(HOST, port)
        except OSError as error:
            raise DevError(
                f"port {port} (console) can't be used ({os.strerror(error.errno or 0)}): "
                "stop what uses it, or choose another, --console 0 picks a free one"
            ) from None
        show = self._teller.note
        console = await stack.enter_async_context(
            serve(self._folder.root, listener, on_link=lambda link: show(f"console: {link}"))
        )
        return console.port, console.link


def _folders(manifest: Manifest) -> list[Path]:
    """Return the folders whose Python files an app is made of."""
    files = [file for one in manifest.functions for file in (one.file, one.component) if file]
    return sorted({Path(file).resolve().parent for file in files})
