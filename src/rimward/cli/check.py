"""`rimward check APP`: every rule of the contract, without starting anything."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rimward.app.manifest import Manifest, encode
from rimward.cli.data import need_cloud
from rimward.cli.output import json_line
from rimward.cli.parsing import CommandError, Parser

LAYERS = {"edge": "at the edge", "stream": "as streams", "cloud": "in the cloud"}
EXAMPLES = """\
examples:
  rimward check app.py
  rimward check package.module:app
  rimward check app.py --json
  rimward check app.py --manifest app.manifest
  rimward check app.py --against .rimward

It imports the app in a process of its own, for 5 s at most, with the packages of the cloud blocked: a file
that needs them on a node is found here. It warns of functions that assign globals. With --json one line a
problem: file, line, message, cure, code.
Exit codes: 0 fine, 1 a problem.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("app", metavar="APP", help="app.py or package.module:app")
    parser.add_argument("--json", action="store_true", help="write JSON lines, for editors")
    text = "a hub's data folder: refuse what its lake's tables can't take"
    parser.add_argument("--against", type=Path, metavar="DIR", help=text)
    text = "write what a hub has to know of the app, for rimward hub run --manifest"
    parser.add_argument("--manifest", type=Path, metavar="FILE", help=text)


def run(options: argparse.Namespace) -> int:
    """Tell what is wrong, or what there is."""
    from rimward.local.checking import AppMistake, check_now, short, warnings

    try:
        manifest = check_now(options.app, 5.0)
    except AppMistake as error:
        if not options.json:
            raise
        mistake = error.mistake
        json_line(
            {"file": short(mistake.file), "line": mistake.line, "message": mistake.message,
             "cure": mistake.cure, "code": mistake.code}
        )  # fmt: skip
        return 1
    if options.against is not None:
        need_cloud("deltalake", "pyarrow")
        from rimward.cloud.ingest.schemas import judge_against
        from rimward.cloud.lake.storage import lake_of

        judge_against(lake_of(options.against), manifest.facts)
    if options.manifest is not None:
        try:
            options.manifest.write_bytes(encode(manifest))
        except OSError as error:
            raise CommandError(f"{options.manifest} can't be written ({error.strerror})") from None
    told = warnings(manifest)
    if options.json:
        json_line(summary(manifest) | ({"warnings": told} if told else {}))
    else:
        for warning in told:
            print(f"warning: {warning}", file=sys.stderr)
        counts = [f"{_count(manifest, layer)} {where}" for layer, where in LAYERS.items()]
        print(f"{options.app} is fine: {manifest.app} has {', '.join(counts)}, {len(manifest.facts)} facts")
    return 0


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return what an editor shows of an app that is fine."""
    return {
        "app": manifest.app,
        "compat": manifest.compat,
        "digest": manifest.digest,
        "functions": [
            {"name": one.name, "layer": one.layer, "trigger": one.trigger, "line": one.line}
            for one in manifest.functions
        ],
        "facts": [{"name": one.name, "table": one.table, "priority": one.priority} for one in manifest.facts],
    }


def _count(manifest: Manifest, layer: str) -> int:
    return sum(function.layer == layer for function in manifest.functions)
