"""The verbs as a person meets them: help, mistakes, exit codes."""

import re
import shlex

import pytest

from rimward.cli import GROUPS, VERBS, main, parser_of

EXAMPLE = re.compile(r"^  (?:.* && )?rimward (.+)$", re.MULTILINE)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and return its exit code, its output and its errors."""
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def test_rimward_alone_shows_the_verbs_in_groups_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys)
    assert code == 2
    assert [line for line in out.splitlines() if line in GROUPS] == list(GROUPS)
    for verb, summary in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(summary)}$", out, re.MULTILINE)
    assert said(capsys, "--help") == (0, out, "")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_an_example_that_its_parser_takes(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["help", verb])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert VERBS[verb] in out
    examples = [line for line in EXAMPLE.findall(out) if not line.startswith(verb + " --help")]
    assert examples
    for line in examples:
        words = shlex.split(line.partition(" > ")[0].partition(" && ")[0])
        if words[0] != "test":  # its arguments are pytest's
            parser_of(words[0]).parse_args(words[1:])


@pytest.mark.parametrize("columns", [40, 80])
def test_help_is_no_wider_than_the_terminal_but_for_what_is_copied(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = said(capsys, "--help")
    for verb in VERBS:
        out += parser_of(verb).format_help()
    lines = [line for line in out.splitlines() if not line.startswith(("  ", "usage: rimward VERB"))]
    assert len(lines) > 60
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("kind", ["mqtt", "http", "ws"])
def test_the_examples_of_each_way_to_send_are_taken(kind: str) -> None:
    below = parser_of("send").below[kind]
    examples = EXAMPLE.findall(below.epilog or "")
    assert len(examples) >= 3
    for line in examples:
        assert parser_of("send").parse_args(shlex.split(line)[1:]).kind == kind


MISTAKES = {
    "dev app.py --simulat 3": "'--simulat' is not known, did you mean '--simulate'?",
    "dev app.py --simulate -1": "argument --simulate: '-1' is not a number from 1 to 1000000",
    "dev app.py --mqtt 70000": "argument --mqtt: '70000' is not a port from 0 to 65535",
    "dev app.py --host node.test": (
        "argument --host: 'node.test' is not an IP address such as 192.168.1.5, or 0.0.0.0 for all of them"
    ),
    "send mqtt a b --qso 1": "'--qso' is not known, did you mean '--qos'?",
    "send mqt a b": "mqtt|http|coap|ws: 'mqt' is none of mqtt, http, coap, ws, did you mean 'mqtt'?",
    "send http GET trucks --port 1": "PATH is 'trucks', it must start with a slash: '/trucks'",
    "send ws trucks x --port 1": "PATH is 'trucks', it must start with a slash: '/trucks'",
    "send http GET / --host example.org": "--host example.org needs its --port",
    "send http FETCH / --port 1": (
        "METHOD is 'FETCH', it must be one of GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
    ),
    "boundary app.py --rate 0": "argument --rate: '0' is not a number above 0",
    "completion tcsh": "SHELL: 'tcsh' is none of bash, zsh, fish",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_of_asking_is_one_sentence_with_the_nearest_word(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb = line.partition(" ")[0]
    sentence = f"rimward {verb}: {MISTAKES[line]}: rimward {verb} --help shows what it takes\n"
    assert said(capsys, *line.split()) == (2, "", sentence)


WITHOUT_ASKING = "lets other machines in, and nobody is asked who he is"
UNSAFE = {
    "--host 0.0.0.0": f"--host 0.0.0.0 {WITHOUT_ASKING}: "
    "--access FILE says who may, --anonymous that everybody may",
    "--host [::] --tls-cert n.pem --tls-key n.pem": f"--host :: {WITHOUT_ASKING}: "
    "--access FILE says who may, --anonymous that everybody may",
    "--access nope.toml": "--access: there is no file nope.toml: name one that is there",
    "--access nope.toml --anonymous": "--access says who may, --anonymous that everybody may: leave one away",
    "--tls-cert nope.pem": "--tls-cert needs --tls-key: name both, which may be one file",
    "--tls-cert nope.pem --tls-key nope.pem": "--tls-cert: there is no file nope.pem: name one that is there",
}


@pytest.mark.parametrize("flags", UNSAFE)
def test_nobody_gets_in_from_outside_unasked_by_a_slip(
    flags: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said_at_once = (1, "", f"rimward dev: {UNSAFE[flags]}\n")
    assert said(capsys, "dev", "nope.py", *flags.split()) == said_at_once


def test_a_verb_that_is_none_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    said_of_status = "rimward: there is no verb 'statsu': did you mean 'status'? rimward --help lists them\n"
    assert said(capsys, "statsu") == (2, "", said_of_status)
    said_of_option = "rimward: there is no option '--versoin': rimward --help lists them\n"
    assert said(capsys, "--versoin") == (2, "", said_of_option)


def test_debug_shows_where_a_failure_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "check", "nope.py")[0] == 1
    with pytest.raises(Exception, match=r"there is no file nope\.py"):
        main(["check", "nope.py", "--debug"])


def test_a_command_that_looks_for_a_dev_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    cure = "start rimward dev app.py, or name a folder with --data DIR"
    sentence = f"rimward send: no .rimward folder is here or above: {cure}\n"
    assert said(capsys, "send", "mqtt", "a", "b") == (1, "", sentence)
