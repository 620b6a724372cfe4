"""Server processes: started on a CPU of their own, measured, and ended by pid with all that they started."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

CLIENT_CPU, SERVER_CPU = 0, 1
GRACE = 10.0  # seconds that a process gets to end after SIGTERM


class BenchError(Exception):
    """Something that the benchmark needs is not there or does not answer."""


def unwind_when_stopped() -> None:
    """Let SIGTERM unwind this process, so that what it has started is ended."""

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        del frame
        sys.exit(128 + signum)

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def on_cpu(cpu: int | None) -> Generator[None]:
    """Make what is started meanwhile, and all that it starts, run on one CPU, if there is that one."""
    allowed = os.sched_getaffinity(0)
    if cpu in allowed:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def process(
    command: Sequence[str | Path],
    *,
    cpu: int | None = SERVER_CPU,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
    log: IO[bytes] | int | None = subprocess.DEVNULL,
    wait_for_end: bool = False,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own; end it, and what is left of its session, on leaving.

    Its input is empty, or open until then if it `wait_for_end`.
    """
    with on_cpu(cpu):
        child = subprocess.Popen(
            [str(part) for part in command],
            bufsize=0,
            stdin=subprocess.PIPE if wait_for_end else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(env or {})},
            pass_fds=fds,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)  # the session is ours: nobody else's process is in it
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def line_of(child: subprocess.Popen[bytes], timeout: float) -> bytes:
    """Return the next line that a process prints within `timeout` seconds.

    Raises:
        BenchError: it ended or printed nothing.
    """
    assert child.stdout is not None
    waiting = select.poll()
    waiting.register(child.stdout, select.POLLIN)
    line = child.stdout.readline() if waiting.poll(timeout * 1e3) else b""
    if not line:
        raise BenchError(f"{child.args!r} did not answer (status {child.poll()})")
    return line


def cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time, ns, that all threads of the processes have used."""
    return sum(
        int(stat.read_text().split()[0])
        for pid in pids
        for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")
    )


def rss_bytes(pid: int) -> int:
    """Return a process's resident memory in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"process {pid} is gone")
