"""Each rule that says "refused": the app, the message, the line and the cure, word by word."""

import re
import sys
from pathlib import Path

import pytest

from rimward.app.loading import load
from rimward.events import LoadError

PAGE = (Path(__file__).parent / "refusals.md").read_text()
BLOCK = re.compile(
    r"(?:^`(?P<name>\w+\.py)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
INTRODUCTION, *SECTIONS = PAGE.split("\n## ")
HEAD = BLOCK.findall(INTRODUCTION)[0][2] + "\n\n"
CASES = {section.partition("\n")[0]: section for section in SECTIONS}


@pytest.fixture
def modules_of_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each case import its own modules, whatever another one has called its."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


@pytest.mark.parametrize("case", CASES)
def test_a_broken_rule_is_told_with_its_line_and_its_cure(
    case: str, tmp_path: Path, modules_of_the_case: None
) -> None:
    blocks = list(BLOCK.finditer(CASES[case]))
    (own, *others), told = [block for block in blocks if block["kind"] == "python"], blocks[-1]["text"]
    (tmp_path / "app.py").write_text(HEAD + own["text"])
    for other in others:
        (tmp_path / other["name"]).write_text(other["text"])
    with pytest.raises(LoadError) as caught:
        load(str(tmp_path / "app.py"))
    assert str(caught.value).replace(f"{tmp_path}/", "") == told.rstrip()
    assert caught.value.cure


def test_what_every_case_starts_with_is_refused_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HEAD)
    load(str(tmp_path / "app.py"))
