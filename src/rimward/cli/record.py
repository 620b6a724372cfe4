"""`rimward record`: a running node's traffic, and what its functions make of it, as a file to replay."""

import argparse
import shutil
import time
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from rimward.cli.data import folder_of
from rimward.cli.output import json_line, say
from rimward.cli.parsing import CommandError, Parser, UsageError, duration, size
from rimward.cli.seeing import processes_of
from rimward.edge.recording.wish import LEAST, RecordingConfig, Wish, ask, path_of, withdraw
from rimward.local.folder import DataFolder
from rimward.wire.recording import Asked, Beaten, Ended, Message, decode, ended_of

EXAMPLES = """\
examples:
  rimward record --for 60s
  rimward record door.jsonl --for 10m --max-bytes 10MB
  rimward record --label eu --redact phone --redact name

The file has every message, request and beat with its time and sender, and the actions, facts and replies that
the functions made of them: rimward replay gives it to other code. It ends after its time, when it is full, or
at Ctrl-C. Events that can become a fact with a locality are in it without their payload, unless --label names
that locality. No file has passwords, tokens and the like. Only its owner can read it.
"""
LOOK = 0.2  # seconds between two looks at the file
ANSWER = 5.0  # seconds in which a node takes a wish up, and ends what is over
TAIL = 4096  # bytes from the file's end in which its last line is
WHY = {"bytes": "it was full", "stopped": "it was asked to", "node": "the node stopped"}


class Told(Struct, frozen=True):
    """What is in a recording."""

    file: str
    bytes: int
    events: int
    why: str  # it ended: "time", "bytes", "stopped", "node"
    withheld: int
    dropped: int
    seconds: float


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    text = "where the recording goes (default: recordings/TIME.jsonl in the data folder)"
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help=text)
    parser.add_argument(
        "--for", dest="seconds", type=duration, default=60.0, metavar="TIME", help="how long (default: 60s)"
    )
    parser.add_argument(
        "--max-bytes", type=size, default=64 << 20, metavar="N", help="end at so many (default: 64MiB)"
    )
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME", help="a locality to record with payloads"
    )
    parser.add_argument(
        "--redact", action="append", default=[], metavar="FIELD", help="a field whose values are replaced"
    )
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Record until it is over."""
    folder, target = folder_of(options.data), options.file
    longest = RecordingConfig().max_seconds
    if not 0 < options.seconds <= longest:
        raise UsageError(f"--for: {options.seconds:g} s is not from 0 to {longest:g} s")
    if options.max_bytes < LEAST:
        raise UsageError(f"--max-bytes: {options.max_bytes} is less than {LEAST}, which its beginning takes")
    if target is not None and target.exists():
        raise CommandError(f"{target} is there already: name another file")
    _node_of(folder)
    wish = _wish(options)
    path = path_of(folder.root, wish.name)
    ask(folder.root, wish)
    try:
        _wait_for(path)
        if not options.json:
            say(f"recording for {options.seconds:g} s, Ctrl-C ends it")
        ended = _ended(folder, path, wish.until)
    except KeyboardInterrupt:
        withdraw(folder.root)
        ended = _ended(folder, path, time.time_ns())
    finally:
        withdraw(folder.root)
    told = _told(path, ended)
    if target is not None:
        _move(path, target)
        told = Told(str(target), told.bytes, told.events, told.why, told.withheld, told.dropped, told.seconds)
    _tell(options, told)
    return 0


def _wish(options: argparse.Namespace) -> Wish:
    now = time.time_ns()
    name = datetime.fromtimestamp(now / 1e9).strftime("%Y-%m-%d-%H%M%S-%f")  # noqa: DTZ006 (its owner's day)
    until = now + round(options.seconds * 1e9)
    return Wish(name, until, options.max_bytes, tuple(options.label), tuple(options.redact))


def _node_of(folder: DataFolder) -> int:
    """Return the node's pid.

    Raises:
        CommandError: none runs.
    """
    pid = processes_of(folder).get("node", {}).get("pid")
    if not pid:
        raise CommandError(f"no node runs in {folder.root}: start one with rimward dev app.py")
    return int(pid)


def _wait_for(path: Path) -> None:
    end = time.monotonic() + ANSWER
    while not path.exists():
        if time.monotonic() > end:
            raise CommandError(
                f"the node does not take it up within {ANSWER:g} s: rimward status shows how it is, "
                "and its log why"
            )
        time.sleep(LOOK)


def _ended(folder: DataFolder, path: Path, until: int) -> Ended | None:
    """Wait for a file's last line; None where the node has stopped without one."""
    node = processes_of(folder).get("node", {}).get("pid")
    while True:
        if (ended := _last(path)) is not None:
            return ended
        over = (time.time_ns() - until) / 1e9 > ANSWER
        if over or processes_of(folder).get("node", {}).get("pid") != node:
            time.sleep(LOOK)  # it may have been written at this very moment
            return _last(path)
        time.sleep(LOOK)


def _last(path: Path) -> Ended | None:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL))
        return ended_of(file.read())


def _told(path: Path, ended: Ended | None) -> Told:
    events = 0
    with path.open("rb") as file:
        for line in decode(file):
            events += isinstance(line, Message | Asked | Beaten)
    why, withheld, dropped, at = ("node", 0, 0, 0) if ended is None else (
        ended.why, ended.withheld, ended.dropped, ended.at,
    )  # fmt: skip
    return Told(str(path), path.stat().st_size, events, why, withheld, dropped, at / 1e9)


def _move(path: Path, target: Path) -> None:
    try:
        shutil.move(path, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(f"{target} can't be written ({reason}): the recording is {path}") from error


def _tell(options: argparse.Namespace, told: Told) -> None:
    if options.json:
        json_line(told)
        return
    say(f"{told.events:,} events in {told.seconds:.1f} s, {told.bytes:,} bytes, in {told.file}")
    if told.why in WHY:
        say(f"it ended before its time: {WHY[told.why]}")
    if told.withheld:
        say(f"{told.withheld:,} of them are without payload, for its locality; --label takes it along")
    if told.dropped:
        say(f"{told.dropped:,} more came faster than the disk took them, and are not in it")
    say(f"rimward replay {told.file} --app app.py shows what other code makes of it")
