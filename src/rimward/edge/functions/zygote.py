"""`python -m rimward.edge.functions.zygote SOCKET`: forks the workers of functions, a millisecond each.

It is started by the supervisor, has no listener, no thread and no key, and loads the app when the node asks
for the first worker, or before. It lives with one node's process: when that is gone its workers end, and it
becomes a new zygote, which has loaded nothing.
"""

import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rimward.edge.functions.nursery import Nursery

AGAIN = 0.05  # seconds between two looks for the node
CALM = 50  # ms in which nothing is asked for, after which a worker is forked ahead
READ = 1 << 16  # bytes of one read
FDS = 16  # descriptors that may come with one


def main(arguments: list[str]) -> int:
    """Serve the node that listens on a Unix socket, for ever."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m rimward.edge.functions.zygote SOCKET\n")
        return 2
    path = arguments[0]
    link = _connected(path)
    wake = _heard_of_deaths()
    nursery = _nursery(link)
    poll = select.poll()
    poll.register(link, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = poll.poll(CALM if nursery.wants_spare else None)
        if not ready:
            nursery.fork_spare()
        for descriptor, _ in ready:
            if descriptor == wake:
                os.read(wake, 512)
                nursery.bury()
            elif not _take(link, nursery):
                nursery.end()
                _anew(path)


def _connected(path: str) -> socket.socket:
    """Wait for the node."""
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(path)
        except OSError:  # it is not there yet
            link.close()
            time.sleep(AGAIN)
        else:
            return link


def _nursery(link: socket.socket) -> "Nursery":
    from rimward.edge.functions.nursery import Nursery

    return Nursery(link)


def _take(link: socket.socket, nursery: "Nursery") -> bool:
    """Do what the node asks for; False where it is gone."""
    try:
        data, descriptors, _, _ = socket.recv_fds(link, READ, FDS)
    except OSError:
        return False
    nursery.take(data, descriptors)
    return bool(data)


def _heard_of_deaths() -> int:
    """Return a descriptor that has a byte for each worker that ends."""
    reading, writing = os.pipe()
    for descriptor in (reading, writing):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _note)
    return reading


def _note(_number: int, _frame: Any) -> None:
    """Let the signal reach the descriptor instead of its usual answer."""


def _anew(path: str) -> NoReturn:
    """Become a new zygote: the app that is loaded may be an old one."""
    with suppress(OSError):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-m", "rimward.edge.functions.zygote", path])  # noqa: S606 (no shell is the point)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
