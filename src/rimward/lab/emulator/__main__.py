"""`python -m rimward.lab.emulator SPEC CONTROL`: the process that carries packets between namespaces.

It sleeps in select with a timer slack of 1 ns: loops' timers are a millisecond late. CONTROL is the
descriptor of a socket on which each JSON line is a wish and is answered by one.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress

import msgspec

from rimward.events import RimwardError
from rimward.lab.emulator.spec import Answer, Spec, Wish, run_ip
from rimward.lab.emulator.switch import Switch

PR_SET_TIMERSLACK = 29
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000
PACKET = 65_536  # bytes
AT_ONCE = 64  # packets that are read from one namespace before the others' turn
IDLE = 3600.0  # seconds


def main(arguments: list[str]) -> int:
    """Carry packets until the control socket is closed."""
    spec = msgspec.json.decode(arguments[0], type=Spec)
    control = socket.socket(fileno=int(arguments[1]))
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    tuns = {place.name: _tun(f"rw{index}-{os.getpid()}") for index, place in enumerate(spec.places)}
    for index, place in enumerate(spec.places):
        _move(f"rw{index}-{os.getpid()}", place.namespace, place.address, spec.prefix)
    addresses = {place.name: socket.inet_aton(place.address) for place in spec.places}
    router = Router(Switch(addresses, spec.seed), tuns, control)
    control.sendall(msgspec.json.encode(Answer()) + b"\n")
    router.run()
    return 0


class Router:
    """The shell around a switch: descriptors, a clock, and wishes."""

    def __init__(self, switch: Switch, tuns: dict[str, int], control: socket.socket) -> None:
        self._switch = switch
        self._tuns = tuns
        self._names = {fd: name for name, fd in tuns.items()}
        self._control = control
        self._asked = b""
        self._unwritten = 0  # packets that a namespace did not take

    def run(self) -> None:
        """Carry packets until the control socket is closed."""
        watched = [*self._names, self._control.fileno()]
        while True:
            deadline = self._switch.deadline()
            wait = IDLE if deadline is None else max(0.0, deadline - time.monotonic())
            for fd in select.select(watched, (), (), wait)[0]:
                if fd == self._control.fileno():
                    if not self._listen():
                        return
                else:
                    self._read(fd)
            for name, packet in self._switch.due(time.monotonic()):
                self._write(name, packet)

    def _read(self, fd: int) -> None:
        with suppress(BlockingIOError):
            for _ in range(AT_ONCE):
                self._switch.enter(self._names[fd], os.read(fd, PACKET), time.monotonic())

    def _write(self, name: str, packet: bytes) -> None:
        try:
            os.write(self._tuns[name], packet)
        except OSError:  # its queue is full, or the kernel finds no sense in it
            self._unwritten += 1

    def _listen(self) -> bool:
        data = self._control.recv(65_536)
        *lines, self._asked = (self._asked + data).split(b"\n")
        for line in lines:
            self._control.sendall(msgspec.json.encode(self._answer(line)) + b"\n")
        return bool(data)

    def _answer(self, line: bytes) -> Answer:
        try:
            wish = msgspec.json.decode(line, type=Wish)
            if wish.direction is not None:
                self._switch.change(wish.source, wish.destination, wish.direction)
        except (RimwardError, msgspec.DecodeError, KeyError) as error:
            return Answer(error=str(error))
        return Answer(counters=self._switch.counters() | {"unwritten": {"packets": self._unwritten}})


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


def _move(tun: str, namespace: str, address: str, prefix: int) -> None:
    """Give a TUN to a namespace; our descriptor stays good."""
    run_ip("link", "set", tun, "netns", namespace, "name", "wan0")
    run_ip("-n", namespace, "address", "add", f"{address}/{prefix}", "dev", "wan0")
    run_ip("-n", namespace, "link", "set", "wan0", "mtu", "1500", "txqueuelen", "1000", "up")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
