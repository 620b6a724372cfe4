"""Which captures an access file leaves to the sender, who may write there what it likes."""

from collections.abc import Iterable

from msgspec import Struct

from rimward.app.manifest import FunctionSpec
from rimward.app.triggers import Pattern, parse_pattern
from rimward.edge.access.file import AccessFile, Rule
from rimward.edge.access.grants import placeholders_of
from rimward.edge.access.own import TOPICS, methods_of


class Loose(Struct, frozen=True):
    """A pattern that a rule lets in, with no capture of it bound to the sender."""

    path: str  # as the manifest has it
    rule: str  # the rule's place in the file
    pattern: str  # what it says


def loose_captures(file: AccessFile, functions: Iterable[FunctionSpec]) -> list[Loose]:
    """Return what rules leave open; what has no rule is bound to the sender's id by itself."""
    found: list[Loose] = []
    for one in functions:
        if one.path is None or not one.captures:
            continue
        pattern = parse_pattern(one.path.removeprefix("/"), "pattern")
        for index, rule in enumerate(file.rule):
            for place, text, levels in _patterns_of(rule, one):
                if _lets_in(levels, pattern) and not _binds(levels, pattern):
                    found.append(Loose(one.path, f"rule[{index}].{place}", text))
    return list(dict.fromkeys(found))


def _patterns_of(rule: Rule, one: FunctionSpec) -> list[tuple[str, str, list[str]]]:
    if one.protocol in TOPICS:
        return [(f"publish[{i}]", text, text.split("/")) for i, text in enumerate(rule.publish)]
    methods = {"*", *methods_of(one.method)}
    asked = [(i, text, text.partition(" ")) for i, text in enumerate(rule.request)]
    return [
        (f"request[{i}]", text, path[1:].split("/"))
        for i, text, (method, _, path) in asked
        if method in methods
    ]


def _lets_in(levels: list[str], pattern: Pattern) -> bool:
    """Tell whether a rule's pattern and a trigger's have something in common."""
    segments: list[str | None] = [*pattern.segments]
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index >= len(segments):
            return pattern.tail is not None
        segment = segments[index]
        if segment is not None and level != "+" and not placeholders_of(level) and level != segment:
            return False
    return len(levels) == len(segments)


def _binds(levels: list[str], pattern: Pattern) -> bool:
    """Tell whether a capture can only be what the sender is, or what the rule itself names."""
    captured = [index for index, segment in enumerate(pattern.segments) if segment is None]
    if pattern.tail:
        captured.append(len(pattern.segments))
    return any(index < len(levels) and levels[index] not in {"+", "#"} for index in captured)
