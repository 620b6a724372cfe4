"""`rimward completion SHELL`: a script that completes verbs and options, made from the parsers themselves."""

import argparse
from typing import NamedTuple

from rimward.cli.parsing import Parser

EXAMPLES = """\
examples:
  rimward completion bash > ~/.local/share/bash-completion/completions/rimward
  rimward completion zsh > ~/.zfunc/_rimward
  rimward completion fish > ~/.config/fish/completions/rimward.fish

For one shell alone: eval "$(rimward completion bash)". Zsh wants the folder in fpath before compinit runs.
"""
FILES = {"APP", "FILE", "DIR"}  # what these name is a file or a folder
ANY = "?"  # a value that nobody can foretell
A_FILE = "-"


class Words(NamedTuple):
    """What may stand behind some words of a command."""

    verb: str  # "dev", or "send mqtt"
    next: list[str]  # words that stand next
    flags: list[tuple[str, str]]  # with its help
    values: dict[str, str]  # of each flag that a value follows: its values, A_FILE or ANY
    files: bool  # whether an argument without a name is a file


def add_arguments(parser: Parser) -> None:
    """Declare what the verb takes."""
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    from rimward.cli import VERBS, parser_of

    known = [one for verb in VERBS for one in _words(verb, parser_of(verb))]
    makers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    print(makers[options.shell](VERBS, known))
    return 0


def _words(verb: str, parser: Parser) -> list[Words]:
    below = parser.below
    values = {
        flag: _values(action)
        for action in parser.flags
        for flag in action.option_strings
        if action.nargs != 0
    }
    own = Words(
        verb,
        [*below, *(str(value) for place in parser.places for value in place.choices or ())],
        [
            (flag, action.help or "")
            for action in parser.flags
            for flag in action.option_strings
            if flag[:2] == "--"
        ],
        values,
        any(place.metavar in FILES for place in parser.places),
    )
    return [own, *(one for name, inner in below.items() for one in _words(f"{verb} {name}", inner))]


def _values(action: argparse.Action) -> str:
    if action.choices:
        return " ".join(map(str, action.choices))
    return A_FILE if action.metavar in FILES else ANY


def _bash(verbs: dict[str, str], known: list[Words]) -> str:
    cases = "\n".join(_bash_case(one) for one in known)
    return f"""\
# bash completion of rimward
_rimward() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
  local words='' values='' files='' verb key
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{" ".join(verbs)} --help --version' -- "$cur"))
    return
  fi
  verb=${{COMP_WORDS[1]}} key=${{COMP_WORDS[1]}}
  if ((COMP_CWORD > 2)); then key="$verb ${{COMP_WORDS[2]}}"; fi
  case $key in
{_bash_subkeys(known)}
    *) key=$verb ;;
  esac
  case $key in
{cases}
  esac
  case $values in
    '?') return ;;
    -) files=1 ;;
    '') COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -W "$values" -- "$cur")) ;;
  esac
  if [[ -n $files && $cur != -* ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$cur"))
  fi
}}
complete -F _rimward rimward"""


def _bash_subkeys(known: list[Words]) -> str:
    inner = " | ".join(f"'{one.verb}'" for one in known if " " in one.verb)
    return f"    {inner}) ;;"


def _bash_case(one: Words) -> str:
    words = [*one.next, *(flag for flag, _ in one.flags)]
    lines = [
        f"    '{one.verb}')",
        f"      words='{' '.join(words)}' files={'1' if one.files else chr(39) * 2}",
    ]
    values = [f"        {flag}) values='{known}' files='' ;;" for flag, known in one.values.items()]
    lines += ["      case $prev in", *values, "      esac"] if values else []
    return "\n".join([*lines, "      ;;"])


def _zsh(verbs: dict[str, str], known: list[Words]) -> str:
    described = "\n".join(f"    {_quoted(f'{name}:{summary}')}" for name, summary in verbs.items())
    cases = "\n".join(_zsh_case(one) for one in known)
    pairs = "|".join(one.verb.replace(" ", "\\ ") for one in known if " " in one.verb)
    return f"""\
#compdef rimward
_rimward() {{
  local key=$words[2]
  local -a verbs
  verbs=(
{described}
  )
  if ((CURRENT == 2)); then _describe verb verbs; return; fi
  if ((CURRENT > 3)) && [[ "$words[2] $words[3]" == ({pairs}) ]]; then
    key="$words[2] $words[3]"
  fi
  case $key in
{cases}
  esac
}}
if [[ $funcstack[1] == _rimward ]]; then _rimward "$@"; else compdef _rimward rimward; fi"""


def _zsh_case(one: Words) -> str:
    forms = {None: "", A_FILE: ":value:_files", ANY: ":value: "}
    flags = [
        _quoted(
            f"{flag}[{help_.replace('[', '(').replace(']', ')')}]"
            + forms.get(value := one.values.get(flag), f":value:({value})")
        )
        for flag, help_ in one.flags
    ]
    places = (
        [_quoted(f"*:what:({' '.join(one.next)})")] if one.next else ["'*:file:_files'"] if one.files else []
    )
    return f"    '{one.verb}') _arguments {' '.join([*flags, *places])} ;;"


def _fish(verbs: dict[str, str], known: list[Words]) -> str:
    lines = ["# fish completion of rimward", "complete -c rimward -f"]
    lines += [
        f"complete -c rimward -n __fish_use_subcommand -a {name} -d {_quoted(summary)}"
        for name, summary in verbs.items()
    ]
    for one in known:
        seen = " and ".join(f"__fish_seen_subcommand_from {word}" for word in one.verb.split()).replace(
            " and ", "; and "
        )
        where = f"complete -c rimward -n {_quoted(seen)}"
        if one.next:
            lines.append(f"{where} -a {_quoted(' '.join(one.next))}")
        if one.files:
            lines.append(f"{where} -F")
        for flag, help_ in one.flags:
            value = one.values.get(flag)
            forms = {None: "", A_FILE: " -r -F", ANY: " -x"}
            takes = forms.get(value, f" -x -a {_quoted(value or '')}")
            lines.append(f"{where} -l {flag.removeprefix('--')}{takes} -d {_quoted(help_)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
