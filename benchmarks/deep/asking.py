"""A device that asks and measures how long answers take: `python -m benchmarks.deep.asking PORT`.

It is a process of its own, since a thread of whoever else plays devices would wait for their interpreter. For
each line on its input, a number of seconds, it prints how long each answer took, ms, as one line of JSON.
"""

import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from benchmarks.deep.sites import Line
from rimward.protocols.mqtt import Publish, Subscribe, Subscription

QUESTIONS = 200.0  # a second


class Asking:
    """That device, to whoever measures."""

    def __init__(self, port: int) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.deep.asking", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()

    def ask(self, seconds: float) -> list[float]:
        """Return how long answers took over a time, ms, each from when its question was due."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(seconds, file=self._child.stdin)
        return json.loads(self._child.stdout.readline())


def ask(line: Line, seconds: float) -> list[float]:
    """Ask at a steady rate whatever comes back; return how long each answer took, ms."""
    took: list[float] = []
    start = time.perf_counter()
    for number in range(round(seconds * QUESTIONS)):
        due = start + number / QUESTIONS
        time.sleep(max(0.0, due - time.perf_counter()))
        line.send(Publish("asking/question", b'{"n": 1}'))
        line.next()
        took.append((time.perf_counter() - due) * 1e3)
    return took


def main(arguments: list[str]) -> int:
    """Ask whenever told to."""
    [port] = arguments
    line = Line(int(port), "asking")
    line.send(Subscribe(1, (Subscription("asking/answer"),)))
    line.next()
    for seconds in sys.stdin:
        print(json.dumps(ask(line, float(seconds))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
