"""The bench that every test runs on.

A blocking call of ours inside a running loop fails the test; so does a task, a thread or a process that
outlives it. `--loop asyncio` runs the async tests on asyncio's own loop instead of uvloop, `--loop both`
on each. Property tests draw the same examples at every run; `--hypothesis-profile=search` draws new ones.
"""

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

LOOPS = {
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "asyncio": ("asyncio", {"use_uvloop": False}),
}
GRACE = 1.0  # seconds that a closing task, thread or process gets to end by itself

# Blocking on purpose: (file, functions, why). Everything that these functions call may block too.
MAY_BLOCK: tuple[tuple[str, set[str], str], ...] = (
    ("rimward/edge/node.py", {"__aenter__"}, "a node opens its files before it serves anyone"),
    ("rimward/app/loading.py", {"load"}, "an app is imported before its node serves anyone"),
    ("rimward/app/fresh.py", {"load_fresh"}, "a saved app is imported in the thread that runs it (ADR 122)"),
    ("rimward/app/problems.py", {"_place"}, "a saved app that is refused is told with the line of its type"),
    (
        "rimward/edge/functions/processes.py",
        {"main_thread", "parent_of", "resident"},
        "what the kernel says of a process lies in memory",
    ),
    (
        "rimward/edge/outbox/reading.py",
        {"_rows"},
        "a stream's key that is not in memory is read by its primary key, in tens of microseconds (ADR 99)",
    ),
    ("rimward/testing/outbox.py", {"commit"}, "a Site commits on the test's loop: it has no threads"),
    (
        "rimward/testing/node.py",
        {"__init__", "kill", "look"},
        "a Site opens, reads and closes files on the test's loop",
    ),
    (
        "rimward/testing/site.py",
        {
            "open",
            "close",
            "_exchange",
            "_upload",
            "_the_hub",
            "ledger",
            "rows",
            "lake",
            "dead_letters",
            "commands",
        },
        "a Site's hub and files live on the test's loop",
    ),
    ("rimward/testing/hub.py", {"keep_time"}, "a Site's hub and files live on the test's loop"),
    ("rimward/testing/replaying.py", {"replay", "_read"}, "a replay has its loop for itself"),
    (
        "rimward/edge/deep/process.py",
        {"_session"},
        "the deep process's loop serves nobody but the disk and the bus",
    ),
    (
        "rimward/edge/deep/files.py",
        {"read", "there", "write"},
        "the deep process's loop serves nobody but the disk and the bus",
    ),
    (
        "rimward/edge/deep/reader.py",
        {"replaced", "version", "epochs", "id", "supplies", "tallies", "segment"},
        "the deep process's loop serves nobody but the disk and the bus",
    ),
    ("logging/__init__.py", {"emit"}, "a line on stderr; where that blocks is the log pipe's reader's doing"),
)

hypothesis.settings.register_profile("repeatable", derandomize=True, max_examples=100, deadline=None)
hypothesis.settings.register_profile("search", max_examples=2_000, deadline=None)
hypothesis.settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=[*LOOPS, "both"], default="uvloop", help="event loop of async tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "anyio_backend" in metafunc.fixturenames and metafunc.config.getoption("--loop") == "both":
        metafunc.parametrize("anyio_backend", list(LOOPS), indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "anyio_backend" in getattr(item, "fixturenames", ()):
            # A loop may swallow the exception that a signal raises: what even the limit below can't end,
            # such as a fixture that hangs, ends the run with every thread's stack.
            item.add_marker(pytest.mark.timeout(_limit(item) + 2 * GRACE, method="thread"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Give an async test its limit inside its loop."""
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = _limited(pyfuncitem.obj, _limit(pyfuncitem))
    return (yield)


def _limit(item: pytest.Item) -> float:
    """Return the seconds that a test may take: its mark's, or the settings'."""
    own = [mark for mark in item.iter_markers("timeout") if mark.kwargs.get("method") != "thread"]
    return float(own[0].args[0] if own else item.config.getoption("timeout") or item.config.getini("timeout"))


def _limited(
    test: Callable[..., Coroutine[Any, Any, None]], seconds: float
) -> Callable[..., Coroutine[Any, Any, None]]:
    async def limited(**fixtures: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(**fixtures)

    return limited


@pytest.fixture(scope="session")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The loop that async tests and fixtures run on."""
    return LOOPS[str(getattr(request, "param", request.config.getoption("--loop")))]


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Fail the test when code of ours blocks a running loop."""
    with blockbuster_ctx(["rimward", "rimward_supervisor"]) as guard:
        for function in guard.functions.values():
            for file, functions, _ in MAY_BLOCK:
                function.can_block_in(file, functions)
        yield guard


@pytest.fixture(autouse=True)
def nothing_outlives_the_test() -> Iterator[None]:
    """Fail the test when a thread or a child process of it is left behind."""
    threads, children = set(threading.enumerate()), _children()
    yield
    _check(threads, children)


@pytest.fixture(autouse=True)
def tasks_end_with_the_test(nothing_outlives_the_test: None, request: pytest.FixtureRequest) -> None:
    """Look for tasks left behind, in tests that have a loop."""
    if "anyio_backend" in request.fixturenames:
        request.getfixturevalue("no_task_outlives_the_test")


@pytest.fixture
async def no_task_outlives_the_test() -> AsyncIterator[None]:
    """Fail the test when a task that it started goes on after every fixture is closed."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if not _of_the_runner(task)}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE)
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=GRACE)
        pytest.fail("left behind: " + ", ".join(map(repr, left)))


def _of_the_runner(task: asyncio.Task[Any]) -> bool:
    """Return whether anyio's test runner started the task, to wait for this very fixture."""
    return "TestRunner" in getattr(task.get_coro(), "__qualname__", "")


def _check(threads: set[threading.Thread], children: set[int]) -> None:
    left = [thread for thread in threading.enumerate() if thread not in threads and not _pooled(thread)]
    for thread in left:
        thread.join(GRACE)
    problems = [repr(thread) for thread in left if thread.is_alive()]
    for pid in _children() - children:
        problems.append(f"process {pid}: {_command(pid)}")
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    if problems:
        pytest.fail("left behind: " + ", ".join(problems))


def _pooled(thread: threading.Thread) -> bool:
    """Return whether the loop's own pool keeps the thread: it ends with the loop, not with the test."""
    return thread.name.startswith(("asyncio_", "AnyIO worker thread"))


def _children() -> set[int]:
    """Return the pids of this process's children, dead ones that nobody waited for included."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    return {int(entry.name) for entry in Path("/proc").iterdir() if _parent(entry) == os.getpid()}


def _parent(process: Path) -> int | None:
    """Return the pid of a process's parent; None for what is no process, or no more."""
    if not process.name.isdigit():
        return None
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "gone"
