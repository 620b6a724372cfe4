"""Every identity tries every action in every protocol, on a real node over real sockets."""

from collections import Counter
from pathlib import Path

import pytest

from .matrix import PEOPLE, TABLE, expected, markdown
from .place import living_place
from .visitors import VISITORS

DOCS = Path(__file__).parents[3] / "docs" / "access.md"


@pytest.mark.parametrize("protocol", VISITORS)
async def test_everyone_may_do_what_the_table_says_and_nothing_else(protocol: str, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    async with living_place(tmp_path) as place:
        visitor = VISITORS[protocol](place)
        for who in PEOPLE:
            for action in TABLE:
                if action.kind in visitor.does and who.by in visitor.shows:
                    found = await visitor.tries(who, action)
                    seen[found] += 1
                    if found != expected(who, action):
                        wrong.append(f"{who.name}: {action.name}: {found}, not {expected(who, action)}")
    assert not wrong, "\n".join(wrong)
    assert set(seen) == {"yes", "no", "who"}, "else the visitor does not tell them apart"


def test_the_table_in_the_documentation_is_this_one() -> None:
    assert markdown() in DOCS.read_text(), "copy what tests/edge/access/matrix.py prints"
