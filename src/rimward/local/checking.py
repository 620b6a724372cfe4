"""Checking an app in a process of its own, so that a file that hangs or ends the interpreter hurts nobody.

`check` is for `rimward dev`, in its loop; `check_now` for commands: it forks, which takes half the time.
"""

import os
import selectors
import signal
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import msgspec

from rimward.app.manifest import Manifest, decode
from rimward.local.errors import DevError
from rimward.local.loading import Mistake, write_answer

LOOK = 65_536  # bytes read at a time


class AppMistake(DevError):
    """An app that can't be loaded; the message is one sentence, `mistake` its parts."""

    code = "app"

    def __init__(self, mistake: Mistake) -> None:
        place = short(mistake.file) + (f":{mistake.line}" if mistake.line else "")
        cure = mistake.cure or "correct that and try again"
        super().__init__((f"{place}: " if place else "") + f"{mistake.message}: {cure}")
        self.mistake = mistake


def warnings(manifest: Manifest) -> list[str]:
    """Return what an app that is fine had better not do, a sentence each."""
    return [
        f"{short(one.file)}:{one.line}: {one.name} assigns the global {name!r}, which ends with the node's "
        "process and is nobody else's: keep it in a State[T]"
        for one in manifest.functions
        for name in one.keeps
    ]


async def check(app: str, timeout: float) -> Manifest:  # noqa: ASYNC109 -- told to the person by its number
    """Import an app and return its manifest; `timeout` in seconds.

    Raises:
        AppMistake: it can't be loaded, takes too long, or has nothing to run.
    """
    import asyncio  # a command has no use for it, and less time

    await asyncio.to_thread(look_at, app)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rimward.local.loading", app,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError:
        raise await asyncio.to_thread(_too_long, app, timeout) from None
    finally:
        _end_group(process.pid)  # with what it has started
        if process.returncode is None:
            await process.wait()
    return await asyncio.to_thread(_judge, app, process.returncode or 0, out, err)


def check_now(app: str, timeout: float) -> Manifest:
    """Do as `check` does, in a process that has no other thread."""
    look_at(app)
    answer, said = os.pipe(), os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_the_child(app, answer[1], said[1])
    os.close(answer[1])
    os.close(said[1])
    try:
        out, err = _read(answer[0], said[0], timeout)
    except TimeoutError:
        raise _too_long(app, timeout) from None
    finally:
        _end_group(pid)
        _, status = os.waitpid(pid, 0)
        os.close(answer[0])
        os.close(said[0])
    return _judge(app, os.waitstatus_to_exitcode(status), out, err)


def look_at(app: str) -> None:
    """Look whether there is such an app at all.

    Raises:
        AppMistake: it names no file, a folder, or what is not Python.
    """
    name = app.partition(":")[0]
    path = Path(name)
    if path.is_dir():
        raise AppMistake(
            Mistake(
                f"{name} is a folder", cure=f"name the app's file, such as {path / 'app.py'}", code="no-app"
            )
        )
    if path.suffix == ".py":
        if not path.is_file():
            raise AppMistake(Mistake(f"there is no file {name}", cure=_others(path), code="no-app"))
        return
    if "/" in name or path.is_file() or not all(part.isidentifier() for part in name.split(".")):
        cure = "an app is app.py, app.py:name or package.module:name"
        raise AppMistake(Mistake(f"{app!r} names no Python file and no module", cure=cure, code="no-app"))
    top = name.partition(".")[0]
    if not Path(top).is_dir() and not Path(f"{top}.py").is_file() and find_spec(top) is None:
        raise AppMistake(
            Mistake(f"there is no module {top}", cure=_others(Path(f"{name}.py")), code="no-app")
        )


def ending(code: int) -> str:
    """Return how a process ended, in words."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def short(file: str) -> str:
    """Return a path as a person would type it from here."""
    path = Path(file)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else file


def _be_the_child(app: str, answer: int, said: int) -> None:
    code = 1
    try:
        os.setsid()
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 -- as python -m does: modules are looked for here
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, number in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(descriptor, number)
        code = write_answer(app, answer)
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001 -- nothing of the app's may reach the parent's frames
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _read(answer: int, said: int, timeout: float) -> tuple[bytes, bytes]:
    """Read both until the answer has ended.

    Raises:
        TimeoutError: it has not within `timeout` seconds.
    """
    taken: dict[int, bytes] = {answer: b"", said: b""}
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for descriptor in taken:
            selector.register(descriptor, selectors.EVENT_READ)
        while answer in {key.fd for key in selector.get_map().values()}:
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, LOOK)
                taken[key.fd] = (taken[key.fd] + data)[-(1 << 24) :]
                if not data:
                    selector.unregister(key.fd)
    return taken[answer], taken[said]


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _judge(app: str, code: int, out: bytes, err: bytes) -> Manifest:
    try:
        manifest = decode(out)
    except msgspec.MsgspecError:
        raise AppMistake(_explain(app, code, out, err)) from None
    if not manifest.functions:
        raise AppMistake(
            Mistake(
                f"{app} has no functions",
                cure="decorate one with @app.edge(…), @app.stream(…) or @app.cloud(…)",
                code="no-functions",
            )
        )
    return manifest


def _explain(app: str, code: int, out: bytes, err: bytes) -> Mistake:
    try:
        return msgspec.json.decode(out, type=Mistake)
    except msgspec.DecodeError:
        last = err.decode(errors="replace").strip().rpartition("\n")[2] or "it said nothing"
        message = f"importing it ended the process with {ending(code)} ({last})"
        return Mistake(message, file=app, cure="no app file may do that", code="ended")


def _too_long(app: str, timeout: float) -> AppMistake:
    message, cure = (
        f"importing it takes more than {timeout:g} s",
        "move what waits or computes into a function",
    )
    return AppMistake(Mistake(message, file=app, cure=cure, code="hangs"))


def _others(path: Path) -> str:
    """Return what to do about a file that is not there."""
    folder = path.parent
    there = sorted(
        file.name for file in folder.glob("*.py") if not file.name.startswith(("test_", "conftest"))
    )
    if there:
        names = ", ".join(str(folder / name) if str(folder) != "." else name for name in there[:4])
        return f"the Python files there are {names}"
    return "name an app file, or make one with rimward new NAME"
