"""The tables mqtt5.md and mqtt311.md are complete, and name tests that exist.

The numbers are those of Appendix B of both standards. MQTT 5.0: a published digest of the OASIS document and
an independent client's own list agree, but for the spelling of 4.2.0-1, which the text itself has in two
ways. MQTT 3.1.1: the OASIS document, and its Chinese translation; 3.1.2-7 and 3.8.3-4 are misspelt in it.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MQTT_5 = """
1.5.4-1 1.5.4-2 1.5.4-3 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-2 2.2.1-3 2.2.1-4 2.2.1-5 2.2.1-6 2.2.2-1 3.1.0-1
3.1.0-2 3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-4 3.1.2-5 3.1.2-6 3.1.2-7 3.1.2-8 3.1.2-9 3.1.2-10 3.1.2-11 3.1.2-12
3.1.2-13 3.1.2-14 3.1.2-15 3.1.2-16 3.1.2-17 3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21 3.1.2-22 3.1.2-23 3.1.2-24
3.1.2-25 3.1.2-26 3.1.2-27 3.1.2-28 3.1.2-29 3.1.2-30 3.1.3-1 3.1.3-2 3.1.3-3 3.1.3-4 3.1.3-5 3.1.3-6
3.1.3-7 3.1.3-8 3.1.3-9 3.1.3-10 3.1.3-11 3.1.3-12 3.1.4-1 3.1.4-2 3.1.4-3 3.1.4-4 3.1.4-5 3.1.4-6 3.2.0-1
3.2.0-2 3.2.2-1 3.2.2-2 3.2.2-3 3.2.2-4 3.2.2-5 3.2.2-6 3.2.2-7 3.2.2-8 3.2.2-9 3.2.2-10 3.2.2-11 3.2.2-12
3.2.2-13 3.2.2-14 3.2.2-15 3.2.2-16 3.2.2-17 3.2.2-18 3.2.2-19 3.2.2-20 3.2.2-21 3.2.2-22 3.3.1-1 3.3.1-2
3.3.1-3 3.3.1-4 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9 3.3.1-10 3.3.1-11 3.3.1-12 3.3.1-13 3.3.2-1 3.3.2-2
3.3.2-3 3.3.2-4 3.3.2-5 3.3.2-6 3.3.2-7 3.3.2-8 3.3.2-9 3.3.2-10 3.3.2-11 3.3.2-12 3.3.2-13 3.3.2-14
3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-19 3.3.2-20 3.3.4-1 3.3.4-2 3.3.4-3 3.3.4-4 3.3.4-5 3.3.4-6
3.3.4-7 3.3.4-8 3.3.4-9 3.3.4-10 3.4.2-1 3.4.2-2 3.4.2-3 3.5.2-1 3.5.2-2 3.5.2-3 3.6.1-1 3.6.2-1 3.6.2-2
3.6.2-3 3.7.2-1 3.7.2-2 3.7.2-3 3.8.1-1 3.8.3-1 3.8.3-2 3.8.3-3 3.8.3-4 3.8.3-5 3.8.4-1 3.8.4-2 3.8.4-3
3.8.4-4 3.8.4-5 3.8.4-6 3.8.4-7 3.8.4-8 3.9.2-1 3.9.2-2 3.9.3-1 3.9.3-2 3.10.1-1 3.10.3-1 3.10.3-2 3.10.4-1
3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6 3.11.2-1 3.11.2-2 3.11.3-1 3.11.3-2 3.12.4-1 3.14.0-1 3.14.1-1
3.14.2-1 3.14.2-2 3.14.2-3 3.14.2-4 3.14.4-1 3.14.4-2 3.14.4-3 3.15.1-1 3.15.2-1 3.15.2-2 3.15.2-3 4.1.0-1
4.1.0-2 4.2.0-1 4.3.1-1 4.3.2-1 4.3.2-2 4.3.2-3 4.3.2-4 4.3.2-5 4.3.3-1 4.3.3-2 4.3.3-3 4.3.3-4 4.3.3-5
4.3.3-6 4.3.3-7 4.3.3-8 4.3.3-9 4.3.3-10 4.3.3-11 4.3.3-12 4.3.3-13 4.4.0-1 4.4.0-2 4.5.0-1 4.5.0-2 4.6.0-1
4.6.0-2 4.6.0-3 4.6.0-4 4.6.0-5 4.6.0-6 4.7.0-1 4.7.1-1 4.7.1-2 4.7.2-1 4.7.3-1 4.7.3-2 4.7.3-3 4.7.3-4
4.8.2-1 4.8.2-2 4.8.2-3 4.8.2-4 4.8.2-5 4.8.2-6 4.9.0-1 4.9.0-2 4.9.0-3 4.12.0-1 4.12.0-2 4.12.0-3 4.12.0-4
4.12.0-5 4.12.0-6 4.12.0-7 4.12.1-1 4.12.1-2 4.13.1-1 4.13.2-1 6.0.0-1 6.0.0-2 6.0.0-3 6.0.0-4
"""
MQTT_3_1_1 = """
1.5.3-1 1.5.3-2 1.5.3-3 2.2.2-1 2.2.2-2 2.3.1-1 2.3.1-2 2.3.1-3 2.3.1-4 2.3.1-5 2.3.1-6 2.3.1-7 3.1.0-1
3.1.0-2 3.1.2-1 3.1.2-2 3.1.2-3 3.1.2-4 3.1.2-5 3.1.2-6 3.1.2-7 3.1.2-8 3.1.2-9 3.1.2-10 3.1.2-11 3.1.2-12
3.1.2-13 3.1.2-14 3.1.2-15 3.1.2-16 3.1.2-17 3.1.2-18 3.1.2-19 3.1.2-20 3.1.2-21 3.1.2-22 3.1.2-23 3.1.2-24
3.1.3-1 3.1.3-2 3.1.3-3 3.1.3-4 3.1.3-5 3.1.3-6 3.1.3-7 3.1.3-8 3.1.3-9 3.1.3-10 3.1.3-11 3.1.4-1 3.1.4-2
3.1.4-3 3.1.4-4 3.1.4-5 3.2.0-1 3.2.2-1 3.2.2-2 3.2.2-3 3.2.2-4 3.2.2-5 3.2.2-6 3.3.1-1 3.3.1-2 3.3.1-3
3.3.1-4 3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8 3.3.1-9 3.3.1-10 3.3.1-11 3.3.1-12 3.3.2-1 3.3.2-2 3.3.2-3 3.3.4-1
3.3.5-1 3.3.5-2 3.6.1-1 3.8.1-1 3.8.3-1 3.8.3-2 3.8.3-3 3.8.3-4 3.8.4-1 3.8.4-2 3.8.4-3 3.8.4-4 3.8.4-5
3.8.4-6 3.9.3-1 3.9.3-2 3.10.1-1 3.10.3-1 3.10.3-2 3.10.4-1 3.10.4-2 3.10.4-3 3.10.4-4 3.10.4-5 3.10.4-6
3.12.4-1 3.14.1-1 3.14.4-1 3.14.4-2 3.14.4-3 4.1.0-1 4.1.0-2 4.3.1-1 4.3.2-1 4.3.2-2 4.3.3-1 4.3.3-2 4.4.0-1
4.5.0-1 4.5.0-2 4.6.0-1 4.6.0-2 4.6.0-3 4.6.0-4 4.6.0-5 4.6.0-6 4.7.1-1 4.7.1-2 4.7.1-3 4.7.2-1 4.7.3-1
4.7.3-2 4.7.3-3 4.7.3-4 4.8.0-1 4.8.0-2 6.0.0-1 6.0.0-2 6.0.0-3 6.0.0-4 7.0.0-1 7.0.0-2 7.1.1-1 7.1.2-1
"""
TABLES = {"mqtt5.md": MQTT_5.split(), "mqtt311.md": MQTT_3_1_1.split()}
REASON = 15  # characters that a reason has at least
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows(table: str) -> dict[str, tuple[str, str]]:
    """Return a table's lines, by statement: what it is in short, and what shows it."""
    found: dict[str, tuple[str, str]] = {}
    for line in (HERE / table).read_text().splitlines():
        if line.startswith("| MQTT-"):
            statement, what, how = (cell.strip() for cell in line.strip("|").split(" | "))
            assert statement not in found, f"{statement} has two lines"
            found[statement.removeprefix("MQTT-")] = (what, how.rstrip(" |"))
    return found


@cache
def names_in(file: str) -> frozenset[str]:
    """Return the tests of a file, as its source has them."""
    path = HERE / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("table", TABLES)
def test_every_statement_has_a_line_and_every_line_a_statement(table: str) -> None:
    numbers, found = TABLES[table], rows(table)
    assert len(numbers) == len(set(numbers)) == {"mqtt5.md": 251, "mqtt311.md": 141}[table]
    assert not set(numbers) - set(found), "statements without a line"
    assert not set(found) - set(numbers), "lines with an unknown number"
    assert list(found) == numbers, "in the order of the text"


@pytest.mark.parametrize("table", TABLES)
def test_every_line_says_what_it_is_and_names_a_test_or_a_reason(table: str) -> None:
    for statement, (what, how) in rows(table).items():
        assert what, f"{statement} does not say what it is"
        if how.startswith("n/a:"):
            assert len(how.removeprefix("n/a:").strip()) >= REASON, f"{statement} has no reason: {how!r}"
            assert not NAMED.search(how), f"{statement} is not applicable and has a test"
        else:
            assert NAMED.search(how), f"{statement} names no test: {how!r}"


@pytest.mark.parametrize("table", TABLES)
def test_every_test_that_a_line_names_exists(table: str) -> None:
    gone = [
        f"{statement}: {file}::{test}"
        for statement, (_, how) in rows(table).items()
        for file, test in NAMED.findall(how)
        if test not in names_in(file)
    ]
    assert not gone
