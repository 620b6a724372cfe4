"""`rimward boundary APP`: what runs where, what crosses to the cloud, and how much."""

import argparse
from pathlib import Path

from rimward.app.manifest import Manifest, decode
from rimward.cli.output import bold, json_line, say, span, table
from rimward.cli.parsing import CommandError, Parser, count, positive
from rimward.edge.sizes import FactSize
from rimward.local.boundary import Boundary, amount, boundary, plain
from rimward.local.text import printable

LAYERS = {"edge": "2 edge", "stream": "2 edge", "cloud": "4 cloud"}
EXAMPLES = """\
examples:
  rimward boundary app.py
  rimward boundary app.py --rate 64 --devices 200
  rimward boundary app.py --svg boundary.svg

The app is imported as rimward check does it; nothing is started. Figures are a day's, before compression:
from what a dev of this app has recorded in its data folder, or from the types, for --rate.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("app", metavar="APP", help="app.py or package.module:app")
    text = "messages a second of each trigger, all devices together (default: as recorded, else 1)"
    parser.add_argument("--rate", type=positive, metavar="N", help=text)
    parser.add_argument("--devices", type=count, metavar="N", default=1, help="that send them (default: 1)")
    text = "the access file, whose rules may leave captures open (default: every capture is)"
    parser.add_argument("--access", type=Path, metavar="FILE", help=text)
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it too")
    parser.add_data()


def run(options: argparse.Namespace) -> int:
    """Print it, and draw it where that is asked."""
    from rimward.edge.access.file import read
    from rimward.local.checking import check_now

    manifest = check_now(options.app, 5.0)
    recorded = () if options.rate is not None else _recorded(manifest, options.data)
    access = None if options.access is None else read(options.access)
    found = boundary(manifest, rate=options.rate, devices=options.devices, recorded=recorded, access=access)
    if options.svg is not None:
        _draw(found, options.svg)
    if options.json:
        json_line(plain(found))
    else:
        _show(found)
        if options.svg is not None:
            print(f"drawn in {options.svg}")
    return 0


def _recorded(manifest: Manifest, data: Path | None) -> list[FactSize]:
    """Return the figures of the data folder, where that is one of this app."""
    import msgspec

    from rimward.edge.sizes import read_sizes
    from rimward.local.folder import DataFolder, find

    root = find(Path.cwd()) if data is None else data
    if root is None:
        return []
    try:
        same = decode(DataFolder(root).manifest.read_bytes()).app == manifest.app
    except (OSError, msgspec.MsgspecError):
        same = False
    if not same and data is not None:
        raise CommandError(f"{data} has no figures of {manifest.app}: run rimward dev there, or say --rate")
    return read_sizes(root) if same else []


def _draw(found: Boundary, file: Path) -> None:
    from rimward.local.drawing import draw

    try:
        file.write_text(draw(found), encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{file} can't be written ({error.strerror or error}): name another with --svg"
        ) from None


def _show(found: Boundary) -> None:
    print(bold(f"what {found.app} runs where"))
    head = ["layer", "function", "runs for", "budget", "replies", "forwards"]
    rows = [
        [
            LAYERS[one.layer],
            one.name,
            one.trigger,
            None if one.budget is None else span(one.budget * 1e9),
            one.reply,
            ", ".join(one.forwards),
        ]
        for one in sorted(found.functions, key=lambda one: LAYERS[one.layer])
    ]
    table(head, rows)
    print("\n" + bold("what crosses, and nothing else"))
    head = ["fact", "table", "label", "priority", "from", "to", "bytes a row", "rows a day", "a day"]
    table(
        head,
        [
            [
                one.fact, one.table, one.label or "any", one.priority, ", ".join(one.sources),
                ", ".join(one.readers), one.row_bytes, round(one.rows_a_day), amount(one.bytes_a_day),
            ]
            for one in found.flows
        ],
    )  # fmt: skip
    print()
    say(f"{found.basis}; before compression")
    for one in found.unbound:
        names = " and ".join(f"{{{name}}}" for name in one.captures)
        say(
            f"warning: {names} of {printable(one.path)} is what the sender writes, not who it is "
            f"({', '.join(one.functions)}): any device may speak for any other"
            + "".join(f"; {rule} lets it in" for rule in one.rules)
        )
