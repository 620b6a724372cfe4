"""The command line: one file a verb, imported when it is asked for."""

import sys
from importlib import import_module
from types import ModuleType

from rimward.cli.output import bold
from rimward.cli.parsing import Parser, UsageError, near, wrapped
from rimward.events import RimwardError

GROUPS = {
    "write": {
        "new": "a project to start from: app, test, README",
        "check": "tell what is wrong with an app, without starting anything",
        "test": "run the project's tests: pytest with its arguments",
    },
    "run": {
        "dev": "run an app with all four layers on this machine",
        "send": "send one message as a device would, and show the answer",
        "node": "a machine whose hub is elsewhere: join, run, list",
        "hub": "a hub whose nodes are elsewhere: run, make join strings, revoke, release",
        "device": "who may come in, and a command by hand: add, list, remove, command",
    },
    "look": {
        "status": "what runs, how fast, and what waits",
        "sql": "ask the lake",
        "export": "a fact's rows as a Parquet or CSV file",
        "ledger": "where every forwarded row is, and whether the sum is right",
        "deadletters": "what could not be stored, and its second try",
        "erase": "forget everything of one key, in the lake and on every node",
        "trace": "one event's way from the device's packet to its row",
        "record": "a running node's traffic, and what its functions made of it, as a file",
        "replay": "a recording given to other code: what that makes of it instead",
        "boundary": "what runs where, and what crosses to the cloud",
    },
    "break": {"fault": "cut the uplink, stop the hub, fill the disk for a while, to see what happens"},
    "more": {"completion": "make the shell complete rimward's words"},
}
VERBS = {name: summary for verbs in GROUPS.values() for name, summary in verbs.items()}
HELP = """\
usage: rimward VERB [ARGUMENTS]     rimward VERB --help explains one

{verbs}examples:
  rimward new cold
  rimward dev app.py --simulate 3
  rimward ledger
  rimward trace last

All find a running dev through .rimward in this folder or above it, or by --data DIR. With --json they write
JSON lines. Exit codes: 0 done, 1 failed, 2 asked wrongly. --debug shows the traceback of a failure.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["help"] and len(words) > 1:
        words = [*words[1:], "--help"]
    if not words or words[0] in {"-h", "--help", "help"}:
        from shutil import get_terminal_size

        print(wrapped(HELP.format(verbs=_grouped()), get_terminal_size().columns - 2))
        return 0 if words else 2
    if words[0] == "--version":
        from rimward.version import VERSION

        print(f"rimward {VERSION}")
        return 0
    if words[0] not in VERBS:
        what = "option" if words[0].startswith("-") else "verb"
        return _complain(
            f"there is no {what} {words[0]!r}: {near(words[0], VERBS)}rimward --help lists them", 2
        )
    return _run(words[0], words[1:])


def parser_of(verb: str) -> Parser:
    """Return what a verb takes."""
    return _parser(verb, import_module(f"rimward.cli.{verb}"))


def _parser(verb: str, module: ModuleType) -> Parser:
    parser = Parser(prog=f"rimward {verb}", description=VERBS[verb], epilog=module.EXAMPLES)
    module.add_arguments(parser)
    return parser


def _run(verb: str, words: list[str]) -> int:
    try:
        return _call(verb, words)
    except UsageError as error:
        return _complain(f"{error}: rimward {verb} --help shows what it takes", 2, verb)
    except BrokenPipeError:  # whoever read us has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 1
    except Exception as error:  # the outermost edge: a person gets a sentence, --debug the rest
        if "--debug" in words:
            raise
        if isinstance(error, RimwardError):
            return _complain(str(error), 1, verb)
        return _complain(f"unexpected {type(error).__name__}: {error}: --debug shows where", 1, verb)


def _call(verb: str, words: list[str]) -> int:
    module = import_module(f"rimward.cli.{verb}")
    if hasattr(module, "run_words") and words[:1] not in (["--help"], ["-h"]):
        return int(module.run_words(words))  # they are another program's
    return int(module.run(_parser(verb, module).parse_args(words)))


def _grouped() -> str:
    width = max(map(len, VERBS)) + 2
    return "".join(
        f"{bold(group)}\n" + "".join(f"  {name:{width}}{summary}\n" for name, summary in verbs.items()) + "\n"
        for group, verbs in GROUPS.items()
    )


def _complain(sentence: str, code: int, verb: str = "") -> int:
    sys.stderr.write(f"rimward{verb and ' ' + verb}: {sentence}\n")
    return code
