"""The command line: one file a verb, imported when it is asked for."""

import sys
from importlib import import_module

from rimward.cli.parsing import Parser, UsageError, near
from rimward.events import RimwardError

VERBS = {
    "dev": "run an app with all four layers on this machine",
    "status": "what runs, how fast, and what waits",
    "sql": "ask the lake",
    "ledger": "where every forwarded row is, and whether the sum is right",
    "trace": "one event's way from the device's packet to its row",
}
HELP = """\
usage: rimward VERB [ARGUMENTS]     rimward VERB --help explains one

{verbs}

examples:
  rimward dev app.py
  rimward status
  rimward sql "select * from motion limit 5"
  rimward ledger
  rimward trace last

All find a running dev through .rimward in this folder or above it, or by --data DIR. With --json they write
JSON lines. Exit codes: 0 done, 1 failed, 2 asked wrongly. --debug shows the traceback of a failure.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in {"-h", "--help", "help"}:
        rows = "\n".join(f"  {name:8} {summary}" for name, summary in VERBS.items())
        sys.stdout.write(HELP.format(verbs=rows))
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"rimward {version('rimward')}")
        return 0
    if words[0] not in VERBS:
        return _complain(
            f"there is no verb {words[0]!r}: {near(words[0], VERBS)}rimward --help lists them", 2
        )
    return _run(words[0], words[1:])


def _run(verb: str, words: list[str]) -> int:
    debug = "--debug" in words
    module = import_module(f"rimward.cli.{verb}")
    parser = Parser(prog=f"rimward {verb}", description=VERBS[verb], epilog=module.EXAMPLES)
    module.add_arguments(parser)
    try:
        return int(module.run(parser.parse_args(words)))
    except UsageError as error:
        return _complain(f"{error}: rimward {verb} --help shows what it takes", 2, verb)
    except BrokenPipeError:  # whoever read us has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 1
    except RimwardError as error:
        if debug:
            raise
        return _complain(str(error), 1, verb)
    except Exception as error:  # the outermost edge: a person gets a sentence, --debug the rest
        if debug:
            raise
        return _complain(f"unexpected {type(error).__name__}: {error}: --debug shows where", 1, verb)


def _complain(sentence: str, code: int, verb: str = "") -> int:
    sys.stderr.write(f"rimward{verb and ' ' + verb}: {sentence}\n")
    return code
