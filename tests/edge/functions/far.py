"""A dispatcher with a real zygote and real workers, for apps written in a test."""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct
from tests.edge.dispatch.bench import Bench, bench

from rimward.edge.functions.config import WorkersConfig
from rimward.edge.functions.wasm.cache import user_folder
from rimward.edge.functions.wasm.making import components_of, make
from rimward.edge.functions.workers import Place, Workers

EVERYBODY = 0o755


class Far(Struct):
    """What a test works with."""

    bench: Bench
    workers: Workers
    zygote: asyncio.subprocess.Process
    path: Path  # of the socket on which the node listens for it

    async def again(self) -> None:
        """Start another zygote."""
        self.zygote = await zygote_at(self.path)


async def zygote_at(path: Path, before: tuple[str, ...] = ()) -> asyncio.subprocess.Process:
    """Start a zygote as a supervisor would; `before` is what comes in front of its command."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        *before, sys.executable, "-m", "rimward.edge.functions.zygote", str(path), env=kept
    )


@asynccontextmanager
async def far(
    folder: Path,
    functions: str,
    config: WorkersConfig | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    settings: dict[str, str] | None = None,
) -> AsyncGenerator[Far]:
    """Run an app's functions in workers."""
    short = Path(tempfile.mkdtemp(prefix="far-"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short / "workers"))
    listener.listen()
    async with bench(folder, functions, settings) as made:
        hidden = (str(folder / "node"),)
        components = await make(components_of(made.app), user_folder())  # seconds, once for all runs
        workers = Workers(
            made.app,
            config or WorkersConfig(),
            Place(str(folder / "app.py"), hidden, components),
            made.dispatcher.settings,
            environ or {},
        )
        made.dispatcher.employ(workers)
        workers.listen(listener)
        one = Far(made, workers, await zygote_at(short / "workers"), short / "workers")
        try:
            yield one
        finally:
            workers.close()
            listener.close()
            one.zygote.kill()
            await one.zygote.wait()
            shutil.rmtree(short)


async def until(test: object, seconds: float = 10.0) -> None:
    """Wait until a callable says True."""
    assert callable(test)
    async with asyncio.timeout(seconds):
        while not test():  # noqa: ASYNC110 (what changes belongs to the kernel)
            await asyncio.sleep(0.002)
