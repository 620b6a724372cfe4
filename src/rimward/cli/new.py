"""`rimward new NAME`: a project that runs, passes its tests and says what to do next."""

import argparse
import keyword
import re
import shutil
from pathlib import Path

from rimward.cli.parsing import CommandError, Parser, UsageError
from rimward.local.project import files

LONGEST = 60
TAKEN = {"app", "rimward", "test_app", "pytest"}  # what the project's own tests import, or depend on
EXAMPLES = """\
examples:
  rimward new cold && cd cold && rimward dev app.py --simulate 3

It makes the folder NAME with app.py, test_app.py, pyproject.toml, README.md and .gitignore, and never writes
over a folder that has something in it. NAME is lower case letters, digits and -.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("name", metavar="NAME", help="of the project, and of its folder")


def run(options: argparse.Namespace) -> int:
    """Make the project."""
    name: str = options.name
    _check(name)
    folder = Path(name)
    made = not folder.exists()
    try:
        if not made and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(f"{name} exists already: choose another name, or take what is there away")
        folder.mkdir(exist_ok=True)
        for file, text in files(name).items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        reason = error.strerror or error
        raise CommandError(
            f"{name} can't be made here ({reason}): go to a folder that you may write in"
        ) from None
    print(f"{name} is ready: {', '.join(files(name))}")
    print(f"next: cd {name} && rimward dev app.py --simulate 3")
    return 0


def _check(name: str) -> None:
    if not re.fullmatch(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", name) or len(name) > LONGEST:
        likely = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST].strip("-")
        hint = f", such as {likely}" if likely else ", such as cold-chain"
        raise UsageError(
            f"NAME is {name!r}, it must be lower case letters, digits and -, a letter first{hint}"
        )
    if name in TAKEN or keyword.iskeyword(name):
        raise UsageError(f"NAME is {name!r}, which has a meaning already: choose another, such as my-{name}")
