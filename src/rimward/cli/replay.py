"""`rimward replay FILE --app APP`: a recording given to other code, and what that makes of it instead."""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from rimward.app.loading import load
from rimward.cli.data import folder_of
from rimward.cli.output import json_line, say
from rimward.cli.parsing import CommandError, Parser, count
from rimward.edge.recording.wish import FOLDER
from rimward.local.text import printable
from rimward.testing.log import Difference, Log, Outcome
from rimward.testing.replaying import drawn, replay
from rimward.wire.recording import (
    Action,
    Answered,
    Asked,
    Beaten,
    Body,
    Command,
    Effect,
    Input,
    Message,
    Stored,
)

EXAMPLES = """\
examples:
  rimward replay door.jsonl --app app.py
  rimward replay last --app app.py --against old/app.py
  rimward replay door.jsonl --app app.py --log new.jsonl --json

Every event of the recording comes in at its own time, by a clock that does not wait. The actions, commands,
facts and replies that the functions make are compared with those of the node that was recorded, or of the
code that --against names; no device, hub or lake hears of them. Exit code 1: there are differences.
To send a file of readings to a running node as devices do, see rimward dev --replay.
"""
WIDEST = 100  # characters of a payload that a line shows


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("file", metavar="FILE", help="what rimward record made; last is the newest")
    parser.add_argument("--app", required=True, metavar="APP", help="app.py or package.module:app")
    parser.add_argument("--against", metavar="APP", help="compare with this code, not with the recorded node")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write all that the functions made")
    parser.add_argument("--limit", type=count, default=50, metavar="N", help="show so many (default: 50)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of uuid4 and the like (default: 0)")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Replay and print the differences; 1 where there are some."""
    path = _path_of(options)
    begun = time.perf_counter()
    old: str | None = options.against
    outcome = _replay(path, options.app, options.seed, each=old is not None)
    before = None if old is None else _replay(path, old, options.seed, each=True).log
    took = time.perf_counter() - begun
    if options.log is not None:
        _write(options.log, outcome.log)
    number = 0
    for number, difference in enumerate(outcome.differences(before), 1):
        if options.json:
            json_line(_json(difference))
        elif number <= options.limit:
            _show(difference)
    _sum_up(options, outcome, number, took)
    return 1 if number else 0


def _path_of(options: argparse.Namespace) -> Path:
    if options.file != "last":
        return Path(options.file)
    folder = folder_of(options.data).root / FOLDER
    found = sorted(folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise CommandError(f"there is no recording in {folder}: rimward record makes one")
    return found[-1]


def _replay(path: Path, app: str, seed: int, *, each: bool) -> Outcome:
    with drawn(seed):  # an app may draw while it is imported
        code = load(app)
        try:
            return asyncio.run(replay(code, path, seed=seed, each=each))
        except OSError as error:
            if error.filename != str(path):
                raise
            reason = error.strerror or str(error)
            raise CommandError(f"{path} can't be read ({reason}): name what rimward record made") from error


def _write(path: Path, log: Log) -> None:
    try:
        path.write_bytes(bytes(log))
    except OSError as error:
        raise CommandError(f"{path} can't be written ({error.strerror or error})") from error


def _sum_up(options: argparse.Namespace, outcome: Outcome, differences: int, took: float) -> None:
    events = len(outcome.log.events)
    if options.json:
        json_line(
            {
                "events": events,
                "left_out": outcome.left_out,
                "differences": differences,
                "complete": outcome.complete,
                "seconds": round(took, 3),
            }
        )
        return
    if differences > options.limit:
        say(f"and {differences - options.limit:,} more: --limit shows them")
    what = f"{differences:,} of them differ" if differences else "no difference"
    say(f"{events:,} events in {took:.1f} s: {what}")
    if outcome.left_out:
        say(f"{outcome.left_out:,} events have no payload, for its locality, and were left out")
    if outcome.state != "kept":
        say(f"the cells of the recorded node are not in the file ({outcome.state}): they began empty")
    if not outcome.complete:
        say("the recording has no end: the node stopped before it was over")


def _show(difference: Difference) -> None:
    print(_event(difference.event))
    for sign, effects in (("-", difference.gone), ("+", difference.new)):
        for effect in effects:
            print(f"  {sign} {_effect(effect)}")


def _event(event: Input | None) -> str:
    match event:
        case Message():
            words = f"{event.topic} {_body(event.payload)} from {event.sender}"
        case Asked():
            words = f"{event.method} {event.path} {_body(event.payload)} from {event.sender}"
        case Beaten():
            words = f"the beat of {event.function}"
        case None:
            return "of no event, but of the clock"
    return printable(f"event {event.n} at {event.at / 1e9:.3f} s: {words}")


def _effect(effect: Effect) -> str:
    match effect:
        case Action():
            more = f" qos {effect.qos}" * (effect.qos > 0) + " retain" * effect.retain
            words = f"action {effect.topic} {_body(effect.payload)}{more}"
        case Command():
            words = f"command {effect.name} to {effect.device} {_body(effect.payload)}"
        case Stored():
            words = f"fact {effect.fact} {_cut(msgspec.json.encode(effect.values, order='sorted').decode())}"
        case Answered() if effect.refused is not None:
            words = f"refused: {effect.refused} {effect.detail or ''}"
        case Answered():
            words = f"reply {effect.status} {_body(effect.payload or Body())}"
    return printable(words)


def _body(body: Body) -> str:
    if body.withheld is not None:
        return f"({body.withheld} bytes withheld)"
    return _cut(body.text) if body.text is not None else f"({len(body.base64 or b'')} bytes)"


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def _json(difference: Difference) -> dict[str, Any]:
    return {"event": difference.event, "gone": difference.gone, "new": difference.new}
