"""`./dev bench coap [--json] [--rounds N] [--seconds N]`."""

import argparse
import os
import select
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.report import Bar, Figure, all_met, print_json, print_table

BODY = b'\xb6meters\x017\x11\x32\xff{"value": 3.25}'  # POST meters/7, content format 50
CLOCK = os.sysconf("SC_CLK_TCK")
SOCKETS = (1, 8)
PEER = "aiocoap"


def main(arguments: list[str]) -> int:
    """Measure in interleaved rounds and print; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(prog="./dev bench coap")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args(arguments)
    names = ["node", PEER] if find_spec(PEER) else ["node"]
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for name in names:
            for sockets in SOCKETS:
                cost = measure(name, sockets, options.seconds)
                found.setdefault((name, sockets), []).append(cost)
    figures = [_figure(found, sockets) for sockets in SOCKETS]
    if options.json:
        print_json(figures, sys.stdout)
    else:
        print_table(figures, sys.stdout)
    return 0 if all_met(figures) else 1


def _figure(found: dict[tuple[str, int], list[float]], sockets: int) -> Figure:
    ours, theirs = found["node", sockets], found.get((PEER, sockets))
    return Figure(
        f"CPU a confirmable request, {sockets} under way",
        round(median(ours), 1),
        "µs",
        Bar("<=", round(median(theirs), 1)) if theirs else None,
        (round(min(ours), 1), round(max(ours), 1)),
        {PEER: round(median(theirs), 1)} if theirs else {},
        "" if theirs else f"no {PEER} here: pip install {PEER} in this environment adds it",
    )


def measure(name: str, sockets: int, seconds: float) -> float:
    """Return the µs of CPU that a fresh server takes for one request, with one under way a socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "benchmarks.coap.servers", name, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            load(port, sockets, 0.3)
            before = cpu(server.pid)
            done = load(port, sockets, seconds)
            return (cpu(server.pid) - before) / done * 1e6
        finally:
            server.kill()


def load(port: int, sockets: int, seconds: float) -> int:
    """Send requests in a closed loop; return how many were answered."""
    waiting, poll = dict[int, tuple[socket.socket, int]](), select.epoll()
    for _ in range(sockets):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(("127.0.0.1", port))
        poll.register(sock.fileno(), select.EPOLLIN)
        waiting[sock.fileno()] = (sock, 0)
        _send(sock, 0)
    done, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for descriptor, _ in poll.poll(0.5):
            sock, mid = waiting[descriptor]
            answer = sock.recv(2048)
            assert answer[1] == 0x44, "2.04"
            if int.from_bytes(answer[2:4], "big") == mid:
                done, mid = done + 1, (mid + 1) & 0xFFFF
                waiting[descriptor] = (sock, mid)
                _send(sock, mid)
    for sock, _ in waiting.values():
        sock.close()
    poll.close()
    return done


def _send(sock: socket.socket, mid: int) -> None:
    sock.send(b"\x42\x02" + mid.to_bytes(2, "big") + mid.to_bytes(2, "little") + BODY)


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
