"""What the documentation shows works: apps load, commands exist, tables name what there is."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import fields

import rimward
from rimward.app.loading import load
from rimward.cli import VERBS, parser_of
from rimward.cli.parsing import Parser
from rimward.edge.config import NodeConfig
from rimward.edge.dispatch.types import Refusal
from rimward.edge.gateways.http.problems import refusal_reply
from rimward.edge.gateways.listening.config import ListenerConfig, check
from rimward.edge.gateways.mqtt.refusals import may_succeed_later, puback_reason
from rimward.events import REFUSALS
from rimward.events.refusals import markdown

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page and number, text) of every block of a language."""
    return [
        (f"{page.relative_to(ROOT)}:{number}", text)
        for page in PAGES
        for number, (written, text) in enumerate(BLOCK.findall(page.read_text()), 1)
        if written == language
    ]


DOCS_COMMANDS = (ROOT / "docs/commands.md").read_text()
DOCS_ERRORS = (ROOT / "docs/errors.md").read_text()
MODULE = re.compile(r"^# (\w+\.py)\n")  # the first line of a file that the page's other blocks import
PYTHON = [block for block in blocks("python") if not re.search(r"^# \w+\.py|def test_", block[1])]
TESTS = [block for block in blocks("python") if "def test_" in block[1]]
SHELL = [
    (place, line.split("#")[0].strip())
    for place, text in blocks("sh")
    for line in text.splitlines()
    if line.strip()
]


def write_modules(place: str, folder: Path) -> None:
    """Write the files that a page names beside its app."""
    for where, text in blocks("python"):
        if where.partition(":")[0] == place.partition(":")[0] and (name := MODULE.match(text)):
            (folder / name[1]).write_text(text)


@pytest.mark.parametrize(("place", "source"), PYTHON, ids=[place for place, _ in PYTHON])
def test_python_in_the_documentation_is_an_app_that_loads(
    place: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_modules(place, tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    file = tmp_path / (re.sub(r"\W", "_", place) + ".py")
    file.write_text(source)
    manifest = load(str(file)).manifest()
    assert manifest.functions


@pytest.mark.timeout(900)  # a component is built from a module once: a minute, and more where all is busy
@pytest.mark.parametrize(("place", "source"), TESTS, ids=[place for place, _ in TESTS])
def test_tests_in_the_documentation_pass_with_their_pages_first_app(
    place: str, source: str, tmp_path: Path
) -> None:
    page = place.partition(":")[0]
    app = next(text for where, text in PYTHON if where.partition(":")[0] == page)
    write_modules(place, tmp_path)
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "test_app.py").write_text(source)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nrimward_app = app:app\n")
    bare = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]  # the latter takes two seconds
    command = [sys.executable, "-m", "pytest", "-q", *bare, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize(("place", "line"), SHELL, ids=[f"{place} {line}" for place, line in SHELL])
def test_commands_in_the_documentation_exist(place: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "./dev" and words[1:2] != ["run"]:
        usage = (ROOT / "dev").read_text()
        assert len(words) == 1 or re.search(rf"^  {words[1]}\b", usage, re.MULTILINE), line
    elif words[0] in ("./dev", "rimward"):
        verb, *arguments = words[2:] if words[0] == "./dev" else words[1:]
        assert verb in VERBS, line
        options = vars(parser_of(verb).parse_args(arguments))
        app: str = options.get("app", "app.py")
        assert app == "app.py" or (ROOT / app).exists(), line
    else:
        assert words[0] in ("mosquitto_pub", "mosquitto_sub", "cd", "export", "curl", "openssl"), line


def test_every_verb_is_documented_and_no_other() -> None:
    assert re.findall(r"^## rimward (\w+)$", DOCS_COMMANDS, re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_documented_and_no_other(verb: str) -> None:
    section = DOCS_COMMANDS.partition(f"\n## rimward {verb}\n")[2].partition("\n## ")[0]
    rows = "\n".join(re.findall(r"^\| `--.*?\|", section, re.MULTILINE))
    assert set(re.findall(r"--[\w-]+", rows)) == _options(parser_of(verb)) - {"--help", "--debug"}


def _options(parser: Parser) -> set[str]:
    own = {name for action in parser.flags for name in action.option_strings if name.startswith("--")}
    return own.union(*map(_options, parser.below.values()))


def test_the_examples_that_users_are_sent_to_load() -> None:
    assert load(str(ROOT / "examples/wearables/app.py")).manifest().functions


def test_every_key_of_the_nodes_configuration_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    documented = set(re.findall(r"^\| `([\w.]+)`", text, re.MULTILINE)) - {"mqtt"}
    limits = re.findall(r"^\| `([\w.]+)`", (ROOT / "docs/limits.md").read_text(), re.MULTILINE)
    assert documented | {f"mqtt.{key}" for key in limits} == set(_keys(NodeConfig))


def test_the_listeners_of_the_documentation_make_sense() -> None:
    text = (ROOT / "docs/configuration.md").read_text().partition("### Listeners")[2]
    block = text.partition("```json\n")[2].partition("```")[0]
    shown = msgspec.json.decode(block, type=dict[str, dict[str, ListenerConfig]])["listeners"]
    assert {one.protocol for one in shown.values()} == {"mqtt", "http"}
    for name, listener in shown.items():
        check(name, listener)


def _keys(config: type[Struct]) -> list[str]:
    hints: dict[str, object] = get_type_hints(config)
    found: list[str] = []
    for field in fields(config):
        kind = hints[field.name]
        below = [one for one in (kind, *_inside(kind)) if isinstance(one, type) and issubclass(one, Struct)]
        if below:
            name = f"{field.name}.NAME" if get_origin(kind) is dict else field.name
            found += [f"{name}.{key}" for key in _keys(below[0])]
        else:
            found.append(field.name)
    return found


def test_every_error_that_an_app_can_meet_is_documented_with_its_code() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|", DOCS_ERRORS, re.MULTILINE))
    exported = {name: getattr(rimward, name) for name in rimward.__all__}
    errors = {
        name: error.code
        for name, error in exported.items()
        if isinstance(error, type)
        and issubclass(error, rimward.RimwardError)
        and error is not rimward.RimwardError
    }
    assert documented == errors


def test_refusals_are_documented_as_the_gateways_say_them() -> None:
    assert markdown() in DOCS_ERRORS, "run python docs/make_errors.py"
    for kind, words in REFUSALS.items():
        refusal = Refusal(kind, "")
        assert refusal_reply(refusal, 1).status == words.http
        assert puback_reason(refusal) == words.mqtt5
        assert may_succeed_later(refusal) == words.later


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


def _inside(kind: object) -> tuple[object, ...]:
    """Return the types of a dict's values and of an optional value; a list is one key."""
    return () if get_origin(kind) is tuple else get_args(kind)
