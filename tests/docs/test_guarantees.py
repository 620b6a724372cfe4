"""The page of promises names tests that exist, and says the one sentence that holds with its words."""

import re
from pathlib import Path

from rimward.cli.ledger import PROMISE

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guarantees.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


def test_every_test_that_keeps_a_promise_exists() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / path).exists()
        or re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE) is None
    ]
    assert missing == []


def test_every_promise_names_the_test_that_keeps_it() -> None:
    promises = [block for block in re.split(r"\n(?=- |## |\n)", PAGE) if block.startswith("- ")]
    assert len(promises) >= 30
    assert [block for block in promises if "Kept by" not in block] == []


def test_the_promise_is_printed_with_its_words() -> None:
    assert PROMISE == "nothing acknowledged is lost while the node's disk lives and its caps are not reached"
    assert PROMISE.lower() in PAGE.lower()
