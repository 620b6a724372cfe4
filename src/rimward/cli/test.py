"""`rimward test`: pytest, with its arguments."""

import argparse
import sys
from importlib.util import find_spec

from rimward.cli.parsing import CommandError, Parser

ASKED_WRONGLY = 4  # pytest's own code for it
EXAMPLES = """\
examples:
  rimward test
  rimward test -k warm -x
  rimward test test_app.py --lf

Every argument is pytest's; python -m pytest does the same. Exit codes: 0 all passed, 1 a test failed or
there is none, 2 asked wrongly. `rimward test -- --help` shows pytest's own help.
"""


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("arguments", metavar="ARGUMENTS", nargs="*", help="pytest's")


def run(options: argparse.Namespace) -> int:
    """Run the tests."""
    return run_words(list(options.arguments))


def run_words(words: list[str]) -> int:
    """Run the tests with the words as they were given.

    Raises:
        CommandError: pytest is not installed.
    """
    if find_spec("pytest") is None:
        raise CommandError("the tests need pytest, which is not installed here: pip install pytest")
    import pytest

    sys.path.insert(0, "")  # as python -m pytest does: the app beside the tests can be imported
    code = int(pytest.main(words[1:] if words[:1] == ["--"] else words))
    return {0: 0, ASKED_WRONGLY: 2}.get(code, 1)
