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


class Words(NamedTuple):
    """What may stand behind some words of a command."""

    verb: str  # "dev", or "send mqtt"
    next: list[str]  # words that stand next
    flags: list[tuple[str, str]]  # with its help
    taking: list[str]  # flags that a value follows
    choices: dict[str, list[str]]  # by flag: its values
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
    choices = {
        flag: [str(value) for value in action.choices]
        for action in parser.flags
        for flag in action.option_strings
        if action.choices
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
        [flag for action in parser.flags if action.nargs != 0 for flag in action.option_strings],
        choices,
        any(place.metavar in FILES for place in parser.places),
    )
    return [own, *(one for name, inner in below.items() for one in _words(f"{verb} {name}", inner))]


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
  if [[ $values == - ]]; then COMPREPLY=($(compgen -f -- "$cur")); return; fi
  if [[ -n $values ]]; then COMPREPLY=($(compgen -W "$values" -- "$cur")); return; fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ -n $files && $cur != -* ]]; then COMPREPLY+=($(compgen -f -- "$cur")); fi
}}
complete -o filenames -F _rimward rimward"""


def _bash_subkeys(known: list[Words]) -> str:
    inner = " | ".join(f"'{one.verb}'" for one in known if " " in one.verb)
    return f"    {inner}) ;;"


def _bash_case(one: Words) -> str:
    words = [*one.next, *(flag for flag, _ in one.flags)]
    lines = [
        f"    '{one.verb}')",
        f"      words='{' '.join(words)}' files={'1' if one.files else chr(39) * 2}",
    ]
    values = [
        f"        {flag}) values='{' '.join(one.choices[flag]) if flag in one.choices else '-'}' ;;"
        for flag in one.taking
    ]
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
compdef _rimward rimward"""


def _zsh_case(one: Words) -> str:
    flags = [
        _quoted(f"{flag}[{help_.replace('[', '(').replace(']', ')')}]")
        + (_quoted(f":value:({' '.join(one.choices[flag])})") if flag in one.choices else "")
        + (":value:_files" if flag in one.taking and flag not in one.choices else "")
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
            takes = f" -x -a {_quoted(' '.join(one.choices[flag]))}" if flag in one.choices else " -r -F"
            takes = takes if flag in one.taking else ""
            lines.append(f"{where} -l {flag.removeprefix('--')}{takes} -d {_quoted(help_)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
