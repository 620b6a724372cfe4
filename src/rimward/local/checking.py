"""Checking an app in a process of its own, so that a file that hangs or ends the interpreter hurts nobody."""

import asyncio
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from rimward.app.manifest import Manifest, decode
from rimward.local.errors import DevError


class _Mistake(Struct):
    file: str
    line: int
    message: str
    cure: str


async def check(app: str, timeout: float) -> Manifest:  # noqa: ASYNC109 -- told to the person by its number
    """Import an app and return its manifest; `timeout` in seconds.

    Raises:
        DevError: it can't be loaded, takes too long, or has nothing to run.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.app", app,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError:
        raise DevError(
            f"{app}: importing it takes more than {timeout:g} s: move what waits or computes into a function"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise DevError(await asyncio.to_thread(_explain, app, process.returncode or 0, out, err))
    manifest = decode(out)
    if not manifest.functions:
        raise DevError(
            f"{app} has no functions: decorate one with @app.edge(…), @app.stream(…) or @app.cloud(…)"
        )
    return manifest


def _explain(app: str, code: int, out: bytes, err: bytes) -> str:
    try:
        mistake = msgspec.json.decode(out, type=_Mistake)
    except msgspec.DecodeError:
        last = err.decode(errors="replace").strip().rpartition("\n")[2] or "it said nothing"
        return f"{app}: importing it ended the process with {ending(code)} ({last}): no app file may do that"
    place = _short(mistake.file) + (f":{mistake.line}" if mistake.line else "")
    cure = mistake.cure or "correct that and try again"
    return (f"{place}: " if place else "") + f"{mistake.message}: {cure}"


def ending(code: int) -> str:
    """Return how a process ended, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _short(file: str) -> str:
    """Return a path as a person would type it from here."""
    path = Path(file)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else file
