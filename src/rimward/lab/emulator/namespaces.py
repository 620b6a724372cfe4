"""Namespaces joined by emulated links, for as long as a `with` block."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from msgspec.structs import replace

from rimward.lab.emulator.impairment import Direction
from rimward.lab.emulator.spec import Answer, EmulatorError, Place, Spec, Wish, run_ip

__all__ = ["Emulator", "EmulatorError", "why_not"]

_T = TypeVar("_T")
CLONE_NEWNET = 0x40000000
NETWORK, PREFIX, MOST = "10.199.0", 24, 200
ANSWER = 30.0  # seconds that the router has for an answer
CONGESTION = "cubic"  # some machines have BBR, which makes the same link another one
_runs = count()


class Emulator:
    """Some namespaces, every two of them joined by a link; without a change it is a perfect one."""

    def __init__(self, names: Sequence[str], *, seed: int = 1) -> None:
        if not 2 <= len(set(names)) == len(names) <= MOST:
            raise EmulatorError(f"2 to {MOST} different names are needed, not {', '.join(names) or 'none'}")
        run = next(_runs)
        self._places = {
            name: Place(name, f"rimward-{os.getpid()}-{run}-{index}", f"{NETWORK}.{index}")
            for index, name in enumerate(names, 1)
        }
        self._seed = seed
        self._router: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._links: dict[tuple[str, str], Direction] = {}
        self._heard = b""

    def __enter__(self) -> Self:
        """Make the namespaces and start the router.

        Raises:
            EmulatorError: the machine does not let us.
        """
        if (reason := why_not()) is not None:
            raise EmulatorError(reason)
        try:
            for place in self._places.values():
                run_ip("netns", "add", place.namespace)
                run_ip("-n", place.namespace, "link", "set", "lo", "up")
                self.inside(place.name, _pin_congestion_control)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the router and everything that still runs in the namespaces, and take them away."""
        if self._control is not None:
            self._control.close()
        if self._router is not None:
            try:
                self._router.wait(ANSWER)
            except subprocess.TimeoutExpired:
                self._router.kill()
                self._router.wait()
        for place in self._places.values():
            with suppress(EmulatorError):
                for pid in run_ip("netns", "pids", place.namespace).split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                run_ip("netns", "delete", place.namespace)

    def address(self, name: str) -> str:
        """Return a namespace's address."""
        return self._places[name].address

    def command(self, name: str, argv: Sequence[str]) -> list[str]:
        """Return the command that runs another one inside a namespace, as the same process."""
        return ["ip", "netns", "exec", self._places[name].namespace, *argv]

    def start(self, name: str, argv: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
        """Start a command inside a namespace; the options are Popen's."""
        return subprocess.Popen(self.command(name, argv), **options)

    def inside(self, name: str, function: Callable[[], _T]) -> _T:
        """Call a function in a thread that is inside a namespace: sockets that it opens are there.

        It raises what the function raises.
        """
        results: list[_T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                self._enter(name)
                results.append(function())
            except BaseException as error:  # noqa: BLE001 -- raised again in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=run, name=f"in {name}")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def between(self, a: str, b: str, direction: Direction) -> None:
        """Make both directions of a link the same from now on."""
        self.one_way(a, b, direction)
        self.one_way(b, a, direction)

    def one_way(self, source: str, destination: str, direction: Direction) -> None:
        """Make one direction of a link another one from now on.

        Raises:
            EmulatorError: there is no such pair, or there can't be such a link.
        """
        self._ask(Wish(source, destination, direction))
        self._links[source, destination] = direction

    def cut(self, source: str, destination: str, *, both: bool = True) -> None:
        """Let nothing pass any more; with `both=False` only the other direction does: half open."""
        self._set_up(source, destination, up=False, both=both)

    def mend(self, source: str, destination: str) -> None:
        """Let everything pass again, as the link was."""
        self._set_up(source, destination, up=True, both=True)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Return what became of the packets, by direction, "edge>cloud"."""
        return self._ask(Wish()).counters

    def _set_up(self, source: str, destination: str, *, up: bool, both: bool) -> None:
        pairs = [(source, destination), (destination, source)][: 2 if both else 1]
        for pair in pairs:
            self.one_way(*pair, replace(self._links.get(pair, Direction()), up=up))

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(ANSWER)
        spec = Spec(tuple(self._places.values()), PREFIX, self._seed)
        words = (msgspec.json.encode(spec).decode(), str(theirs.fileno()))
        self._router = subprocess.Popen(
            [sys.executable, "-m", "rimward.lab.emulator", *words], pass_fds=(theirs.fileno(),)
        )
        theirs.close()
        self._hear()

    def _ask(self, wish: Wish) -> Answer:
        if self._control is None:
            raise EmulatorError("the emulator does not run: use it in a with block")
        self._control.sendall(msgspec.json.encode(wish) + b"\n")
        answer = self._hear()
        if answer.error:
            raise EmulatorError(f"the router refuses: {answer.error}")
        return answer

    def _hear(self) -> Answer:
        assert self._control is not None
        while b"\n" not in self._heard:
            data = self._control.recv(65_536)
            if not data:
                raise EmulatorError("the router has ended: its output says why")
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return msgspec.json.decode(line, type=Answer)

    def _enter(self, name: str) -> None:
        """Put the calling thread into a namespace, for ever."""
        fd = os.open(f"/run/netns/{self._places[name].namespace}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) != 0:
                raise EmulatorError(f"the namespace of {name}: {os.strerror(ctypes.get_errno())}")
        finally:
            os.close(fd)


def why_not() -> str | None:
    """Return why this machine can't emulate; None: it can."""
    if os.geteuid() != 0:
        return "network namespaces and TUN devices need root here"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    probe = f"rimward-{os.getpid()}-probe"
    try:
        run_ip("netns", "add", probe)
        run_ip("netns", "delete", probe)
    except EmulatorError as error:
        return f"network namespaces are not allowed: {error}"
    return None


def _pin_congestion_control() -> None:
    with suppress(OSError):  # a kernel without it keeps its own
        Path("/proc/sys/net/ipv4/tcp_congestion_control").write_text(CONGESTION)
